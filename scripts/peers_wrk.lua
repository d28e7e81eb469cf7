-- wrk -s peers_wrk.lua URL -- PATHS: the paths of that file in turn, over all connections.
local requests = {}
local n = 0

function init(args)
    for path in io.lines(args[1]) do
        requests[#requests + 1] = wrk.format("GET", path)
    end
end

function request()
    n = n % #requests + 1
    return requests[n]
end

function done(summary, latency, all)
    local errors = summary.errors
    io.write(string.format("peers: requests %d us %d bytes %d errors %d\n", summary.requests,
                           summary.duration, summary.bytes, errors.connect + errors.read +
                           errors.write + errors.status + errors.timeout))
end
