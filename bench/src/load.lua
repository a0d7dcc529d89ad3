-- Sends one request over and over: method and body come as arguments after `--`.
-- At the end one line for the program that started wrk.

function init(args)
  wrk.method = args[1]
  if args[2] and args[2] ~= "" then
    wrk.body = args[2]
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    "result %d %d %d %d\n",
    summary.requests,
    summary.duration,
    latency:percentile(50.0),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout
  ))
end
