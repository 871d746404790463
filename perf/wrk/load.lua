-- One script for every workload that wrk drives.
--   wrk … -s load.lua URL -- plain
--   wrk … -s load.lua URL -- pipeline DEPTH     DEPTH requests in one write
--   wrk … -s load.lua URL -- walk FILE          the paths that FILE lists, one after the other
--   wrk … -s load.lua URL -- scatter FILE       the same paths at random, from a fixed seed
--   wrk … -s load.lua URL -- put BYTES NAMES    PUTs under that many names below the URL, in turn
--   wrk … -s load.lua URL -- addresses COUNT DEPTH
--                                               each from another address, DEPTH in one write; the
--                                               run ends when so many are out
-- The result is one line of JSON; times are in microseconds.

-- What workloads.body renders.
local function body(bytes)
   local alphabet = "abcdefghijklmnopqrstuvwxyz"
   return string.rep(alphabet, math.ceil(bytes / #alphabet)):sub(1, bytes)
end

local function put(bytes, names)
   local requests, next_one = {}, -1
   for name = 0, names - 1 do
      local path = string.format("%sname-%d.txt", wrk.path, name)
      requests[name] = wrk.format("PUT", path, nil, body(bytes))
   end
   return function()
      next_one = (next_one + 1) % names
      return requests[next_one]
   end
end

-- As a proxy names its clients: 10.0.0.0, 10.0.0.1, and so on.
local function addresses(count, depth)
   local ffi = require("ffi")
   ffi.cdef("int getpid(void); int kill(int, int);")
   wrk.headers["X-Forwarded-For"] = "@"
   local before, after = wrk.format():match("^(.*)@(.*)$")
   local octets, parts, next_one = {}, {}, 0
   for octet = 0, 255 do octets[octet] = tostring(octet) end
   return function()
      for index = 0, depth - 1 do
         local last = index * 8
         parts[last + 1], parts[last + 2] = before, "10."
         parts[last + 3], parts[last + 4] = octets[math.floor(next_one / 65536) % 256], "."
         parts[last + 5], parts[last + 6] = octets[math.floor(next_one / 256) % 256], "."
         parts[last + 7], parts[last + 8] = octets[next_one % 256], after
         next_one = next_one + 1
      end
      -- wrk knows only times: an interrupt ends it kindly. Its first call of this was to count the
      -- requests of one write, and those on their way when it ends have no answer.
      if next_one - depth < count and next_one >= count then
         ffi.C.kill(ffi.C.getpid(), 2)
      end
      return table.concat(parts)
   end
end

function init(args)
   local mode = args[1]
   if mode == "pipeline" then
      local all = string.rep(wrk.format(), tonumber(args[2]))
      request = function() return all end
   elseif mode == "put" then
      request = put(tonumber(args[2]), tonumber(args[3]))
   elseif mode == "addresses" then
      request = addresses(tonumber(args[2]), tonumber(args[3]))
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
