-- One script for every workload that wrk drives.
--   wrk … -s load.lua URL -- plain
--   wrk … -s load.lua URL -- pipeline DEPTH     DEPTH requests in one write
--   wrk … -s load.lua URL -- walk FILE          the paths that FILE lists, one after the other
--   wrk … -s load.lua URL -- scatter FILE       the same paths at random, from a fixed seed
-- The result is one line of JSON; times are in microseconds.

function init(args)
   local mode = args[1]
   if mode == "pipeline" then
      local all = string.rep(wrk.format(), tonumber(args[2]))
      request = function() return all end
   elseif mode == "walk" or mode == "scatter" then
      local requests, count, next_one = {}, 0, 0
      for path in io.lines(args[2]) do
         count = count + 1
         requests[count] = wrk.format("GET", path)
      end
      if mode == "scatter" then
         math.randomseed(4)
         request = function() return requests[math.random(count)] end
      else
         request = function()
            next_one = next_one % count + 1
            return requests[next_one]
         end
      end
   end
end

function done(summary, latency)
   local e = summary.errors
   io.write(string.format(
      '{"requests": %d, "bytes": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, '
      .. '"p999_us": %d, "errors": {"connect": %d, "read": %d, "write": %d, "status": %d, '
      .. '"timeout": %d}}\n',
      summary.requests, summary.bytes, summary.duration, latency:percentile(50),
      latency:percentile(99), latency:percentile(99.9), e.connect, e.read, e.write, e.status,
      e.timeout))
end
