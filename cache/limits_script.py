"""The steps that limits take inside Redis, each one atomic.

What a tenant has is known from three sides: levels that drain with Redis' own clock, leases of what is in flight, and
accounts, one for each worker: what it has spent, what its leases reserve, and up to which sum it may go on while it
cannot ask (its ceiling). All accounts together never exceed the budget; a ceiling counts in full until its worker says
that it holds another one, or until it is over. A worker's own word about what it spent replaces what was known, so that
no word is lost for long.

Whoever Redis does not know is told to introduce itself, and until all workers have done so nothing is admitted here:
a server that forgot everything would otherwise take the first one's word for the whole.
"""

from typing import Final

# Money is whole nano-USD, levels are millionths, times are microseconds: whole numbers all, which doubles hold exactly.
SCRIPT: Final = r"""
local members, levels, leases, accounts, ceilings = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local op, worker = ARGV[1], ARGV[2]
local budget, window, spent, held = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local lasts, workers = tonumber(ARGV[7]), tonumber(ARGV[8])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local function text(number) return string.format('%.0f', number) end

local known, exposed = string.match(redis.call('HGET', accounts, '') or '0 0', '(%d+) (%d+)')
known, exposed = tonumber(known), tonumber(exposed)

local function read(name)
  local s, r, c = string.match(redis.call('HGET', accounts, name) or '0 0 0', '(%d+) (%d+) (%d+)')
  return tonumber(s), tonumber(r), tonumber(c)
end

local function write(name, s, r, c)
  local before_s, before_r, before_c = read(name)
  known = known + s - before_s
  exposed = exposed + math.max(s + r, c) - math.max(before_s + before_r, before_c)
  local account, sums = text(s) .. ' ' .. text(r) .. ' ' .. text(c), text(known) .. ' ' .. text(exposed)
  redis.call('HSET', accounts, name, account, '', sums)
end

-- A lease is named by its worker, a number of the worker's and what it reserves.
local function drop(lease)
  if redis.call('ZREM', leases, lease) == 1 then
    local name, amount = string.match(lease, '^(.-):.*:(%d+)$')
    local s, r, c = read(name)
    write(name, s, math.max(r - tonumber(amount), 0), c)
  end
end

local function take(lease)
  if redis.call('ZADD', leases, text(now + lasts), lease) == 1 then
    local name, amount = string.match(lease, '^(.-):.*:(%d+)$')
    local s, r, c = read(name)
    write(name, s, r + tonumber(amount), c)
  end
end

-- A new window: nothing is spent in it, and what is in flight goes on being reserved.
local stored = tonumber(redis.call('HGET', accounts, '@') or '-1')
if budget >= 0 and window > stored then
  redis.call('DEL', accounts, ceilings)
  redis.call('HSET', accounts, '@', text(window))
  known, exposed, stored = 0, 0, window
  for _, lease in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
    local name, amount = string.match(lease, '^(.-):.*:(%d+)$')
    local s, r, c = read(name)
    write(name, s, r + tonumber(amount), c)
  end
end

-- What is over; also what would last longer than anything does, since the clock was set back.
for _, span in ipairs({{'-inf', text(now)}, {text(now + 2 * lasts), '+inf'}}) do
  for _, lease in ipairs(redis.call('ZRANGEBYSCORE', leases, span[1], span[2])) do drop(lease) end
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', ceilings, span[1], span[2])) do
    local s, r = read(name)
    write(name, s, r, 0)
    redis.call('ZREM', ceilings, name)
  end
end

local function tell(name, amount)
  local _, r, c = read(name)
  write(name, amount, r, c)
end
if budget >= 0 and window == stored then tell(worker, spent) end

local function level(name, limit, passed)
  if limit < 0 then return 0 end
  return math.max((tonumber(redis.call('HGET', levels, name) or '0')) - math.floor(passed * limit / 60), 0)
end
local function drained(requests_limit, tokens_limit)
  local passed = math.min(math.max(now - (tonumber(redis.call('HGET', levels, 'at') or '0')), 0), 60000000)
  return level('requests', requests_limit, passed), level('tokens', tokens_limit, passed)
end
local function store(requests, tokens)
  redis.call('HSET', levels, 'requests', text(requests), 'tokens', text(tokens), 'at', text(now))
end

local is_whole = redis.call('SCARD', members) >= workers
local is_member = redis.call('SISMEMBER', members, worker) == 1

-- What it holds stays counted until it says that it holds what it is given here: the answer may get lost.
local function raise_ceiling()
  if budget < 0 or not (is_whole and is_member) then return 0 end
  local s, r, c = read(worker)
  local free = budget - (exposed - math.max(s + r, c)) - s - r
  local given = s + r + math.max(math.floor(free / (4 * workers)), 0)
  write(worker, s, r, math.max(given, held))
  redis.call('ZADD', ceilings, text(now + lasts), worker)
  return given
end

if op == 'admit' then
  if not is_member then return 'unknown 0 0 0 0 0' end
  if not is_whole then return 'gathering 0 0 0 0 0' end
  local most_requests, most_tokens, most_running = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
  local need, amount, lease = tonumber(ARGV[12]), tonumber(ARGV[13]), ARGV[14]
  local requests, tokens = drained(most_requests, most_tokens)
  store(requests, tokens)
  local function refused(met, wait)
    return met .. ' ' .. text(wait) .. ' ' .. text(requests) .. ' ' .. text(tokens) .. ' 0 ' .. text(known)
  end
  if most_requests >= 0 then
    local over = requests + 1000000 - most_requests * 1000000
    if over > 0 then return refused('requests', over * 60 / math.max(most_requests, 1)) end
  end
  if most_tokens >= 0 then
    local over = tokens + need - most_tokens * 1000000
    if over > 0 then return refused('tokens', over * 60 / math.max(most_tokens, 1)) end
  end
  if most_running >= 0 and redis.call('ZCARD', leases) >= most_running then return refused('in_flight', 0) end
  if budget >= 0 then
    local s, r, c = read(worker)
    if exposed - math.max(s + r, c) + s + r + amount > budget then
      return refused(known + amount > budget and 'budget' or 'reserved', 0)
    end
  end
  if most_requests >= 0 then requests = requests + 1000000 end
  if most_tokens >= 0 then tokens = tokens + need end
  store(requests, tokens)
  if lease ~= '' then take(lease) end
  return 'ok 0 ' .. text(requests) .. ' ' .. text(tokens) .. ' ' .. text(raise_ceiling()) .. ' ' .. text(known)
end

if op == 'settle' then
  local most_requests, most_tokens, correction = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
  if ARGV[12] ~= '' then drop(ARGV[12]) end
  if correction ~= 0 then
    local requests, tokens = drained(most_requests, most_tokens)
    store(requests, math.max(tokens + correction, 0))
  end
  return 'ok'
end

-- What is in flight here lasts longer. Who joins tells, besides, what others have spent by the ledger.
local others = tonumber(ARGV[9])
for index = 10, 9 + 2 * others, 2 do
  if window == stored and tonumber(ARGV[index + 1]) > read(ARGV[index]) then
    tell(ARGV[index], tonumber(ARGV[index + 1]))
  end
end
if op == 'join' then
  local mine = worker .. ':'
  for _, lease in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
    if string.sub(lease, 1, #mine) == mine then drop(lease) end
  end
  if budget >= 0 and held > 0 then
    local s, r = read(worker)
    write(worker, s, r, held)
    redis.call('ZADD', ceilings, text(now + lasts), worker)
  end
end
for index = 10 + 2 * others, #ARGV do take(ARGV[index]) end
return text(raise_ceiling())
"""
