-- Currencies: kept in memory, about the cheapest that any key may ask for.
package.path = os.getenv("FLORIN_BENCH_LUA") .. "/?.lua;" .. package.path
local common = require("common")

function request()
  return wrk.format("GET", "/v1/currencies", common.headers(common.tenant()))
end
