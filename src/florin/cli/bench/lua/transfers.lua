-- Transfers between two accounts of one tenant. FLORIN_BENCH_HOT: every transfer debits the first.
package.path = os.getenv("FLORIN_BENCH_LUA") .. "/?.lua;" .. package.path
local common = require("common")
local hot = os.getenv("FLORIN_BENCH_HOT")
local body = '{"legs":[{"account":"%s","direction":"debit","amount":100},{"account":"%s","direction":"credit","amount":100}],"currency":"USD"}'

function request()
  local tenant = common.tenant()
  local ids = common.ids[tenant]
  local one = hot and 1 or math.random(#ids)
  local other = math.random(#ids - 1)
  if other >= one then other = other + 1 end
  return wrk.format("POST", "/v1/transfers", common.headers(tenant), body:format(ids[one], ids[other]))
end
