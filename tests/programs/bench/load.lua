-- One report per request, each with its own Idempotency-Key: agency and period change with a running serial.
-- Arguments: first serial, threads, run's tag, mean pause of a connection in milliseconds (0: none).
local data = dofile(os.getenv("BENCH_LOAD"))
local threads = {}

function setup(thread)
  thread:set("id", #threads)
  table.insert(threads, thread)
end

function init(args)
  first, total, tag, pause = tonumber(args[1]), tonumber(args[2]), args[3], tonumber(args[4])
  made = 0
  math.randomseed(first + id * 7919)
  if pause == 0 then delay = nil end
end

function delay()
  -- exponential pauses: requests arrive as from many independent senders
  return math.floor(-pause * math.log(1 - math.random()) + 0.5)
end

function request()
  local serial = first + made * total + id
  made = made + 1
  local agency = data.agencies[serial % #data.agencies + 1]
  local round = math.floor(serial / #data.agencies)
  local period = data.periods[round % #data.periods + 1]
  local taxes = 1000 + serial % 4000000
  local body = data.head .. period .. data.officer .. agency[2]
    .. data.total .. string.format("%.3f", (taxes + data.rest) / 1000)
    .. data.taxes .. string.format("%.3f", taxes / 1000) .. data.tail
  return "POST /v1/submissions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " .. agency[1]
    .. "\r\nIdempotency-Key: " .. tag .. "-" .. serial
    .. "\r\nContent-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

function done(summary, latency, requests)
  local most = 0
  for _, thread in ipairs(threads) do most = math.max(most, thread:get("made")) end
  local e = summary.errors
  print(string.format(
    '\nBENCH {"requests":%d,"seconds":%.6f,"refused":%d,"broken":%d,"p50_ms":%.3f,"p99_ms":%.3f,"made":%d}',
    summary.requests, summary.duration / 1e6, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, most * #threads))
end
