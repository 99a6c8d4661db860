-- POST /run for wrk: another script with each request, since a host runs one script only once at a time. Counts what
-- did not end as a run must.
local count, scripts, host = 0, 0, ""
local threads = {}

function setup(thread)
    table.insert(threads, thread)
end

function init(args)
    host, scripts = args[1], tonumber(args[2])
    wrong = 0
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/json"
end

function request()
    count = (count + 1) % scripts
    return wrk.format(nil, nil, nil, string.format('{"hosts":["%s"],"script":"true-%d"}', host, count))
end

function response(status, headers, body)
    if status ~= 200 or not string.find(body, '"exit":0,', 1, true) then
        wrong = wrong + 1
        if wrong == 1 then print("Answer: " .. status .. " " .. body) end
    end
end

function done(summary, latency, requests)
    local total = 0
    for _, thread in ipairs(threads) do total = total + thread:get("wrong") end
    print("Wrong answers: " .. total)
end
