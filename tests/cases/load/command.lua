-- Create commands, each of a case of its own. With KIND=refused their details lie where the origin may not keep them:
-- the server checks the token and the form, and the log takes nothing.
local host = os.getenv("KIND") == "refused" and "elsewhere.example" or "esdh.example"
local run, number = tonumber(os.getenv("RUN")), 0
local headers = {
    ["Authorization"] = "Bearer " .. os.getenv("TRIBUTARY_TOKEN"),
    ["Content-Type"] = "application/json",
}

request = function()
    number = number + 1
    local case = string.format("0ca5e000-0000-4%03d-8000-%012d", run, number)
    local body = string.format('{"caseId":"%s","created":"2026-11-20T14:30:00Z","caseDetailsUri":"https://%s/%d"}',
        case, host, number)
    return wrk.format("POST", "/api/Commands/CreateCase", headers, body)
end
