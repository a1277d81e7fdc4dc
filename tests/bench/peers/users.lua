-- For wrk: every connection is somebody who waits up to a second between two loads.
function delay() return math.random(0, 1000) end
