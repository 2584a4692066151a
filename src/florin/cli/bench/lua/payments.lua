-- Card payments that the sandbox takes at once.
package.path = os.getenv("FLORIN_BENCH_LUA") .. "/?.lua;" .. package.path
local common = require("common")
local body = '{"amount":%d,"currency":"USD","method":{"type":"card","token":"tok_success"}}'

function request()
  return wrk.format("POST", "/v1/payments", common.headers(common.tenant()), body:format(math.random(100, 100000)))
end
