-- Balances of random accounts.
package.path = os.getenv("FLORIN_BENCH_LUA") .. "/?.lua;" .. package.path
local common = require("common")

function request()
  local tenant = common.tenant()
  local ids = common.ids[tenant]
  return wrk.format("GET", "/v1/accounts/" .. ids[math.random(#ids)] .. "/balance", common.headers(tenant))
end
