-- Sends one request over and over: method and body come as arguments after `--`.
-- `{n}` in the body is another number in every request, of a thousand.
-- At the end one line for the program that started wrk.

function init(args)
  wrk.method = args[1]
  if args[2] and args[2] ~= "" then
    wrk.body = args[2]
  end
  if wrk.body and wrk.body:find("{n}", 1, true) then
    local bodies, next_one = {}, 0
    for number = 0, 999 do
      wrk.body = args[2]:gsub("{n}", tostring(number))
      bodies[number] = wrk.format()
    end
    request = function()
      next_one = (next_one + 1) % 1000
      return bodies[next_one]
    end
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
