-- What every load has in common: its targets, unique idempotency keys, think time, a summary as JSON.
-- FLORIN_BENCH_TARGETS names a file with lines "api-key id id id ..."; FLORIN_BENCH_THINK_MS the mean
-- time that a user waits between an answer and the next request (0: none).

local M = { keys = {}, ids = {} }

for line in io.lines(os.getenv("FLORIN_BENCH_TARGETS")) do
  local words = {}
  for word in line:gmatch("%S+") do words[#words + 1] = word end
  M.keys[#M.keys + 1] = table.remove(words, 1)
  M.ids[#M.ids + 1] = words
end

local urandom = io.open("/dev/urandom", "rb")
local a, b, c, d = urandom:read(4):byte(1, 4)
urandom:close()
math.randomseed(a + b * 256 + c * 65536 + d * 16777216)
local run = string.format("%08x%04x", math.random(0, 2 ^ 31 - 1), math.random(0, 65535))
local n = 0

function M.headers(tenant)
  n = n + 1
  return {
    ["content-type"] = "application/json",
    ["authorization"] = "Bearer " .. M.keys[tenant],
    ["idempotency-key"] = run .. "-" .. n,
  }
end

function M.tenant() return math.random(#M.keys) end

local think_ms = tonumber(os.getenv("FLORIN_BENCH_THINK_MS") or "0")
if think_ms > 0 then
  -- Exponential: the requests of many such users together arrive like rain.
  function delay() return math.floor(-math.log(1 - math.random()) * think_ms) end
end

function done(summary, latency, requests)
  io.stderr:write(string.format(
    '{"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"max_us":%d,"status":%d,"connect":%d,"read":%d,"write":%d,"timeout":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    summary.errors.status, summary.errors.connect, summary.errors.read, summary.errors.write,
    summary.errors.timeout))
end

return M
