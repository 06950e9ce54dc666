"""Commands that keep, touch and drop values in Redis under a cap in bytes.

The server does each as one step (Lua), so the cap holds whoever writes at the same time. Beside the values lie a sorted
set, when each was used last, and a hash of their sizes, with the sum under the empty name. Where one of the two was
lost, to the server's own eviction or by hand, it is made again from the other. All lie in one slot of a cluster.
"""

from collections.abc import Sequence
from hashlib import sha1
from typing import Final

PREFIX: Final = b"{tandem:kv}:"
_USED: Final = PREFIX + b"used"
_SIZES: Final = PREFIX + b"sizes"

# Of one chain an earlier name counts as used later, by 1 ms: where a chain loses blocks, it loses its end first.
_SHARED: Final = b"""
local used, sizes = KEYS[1], KEYS[2]
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000

local function forget(name)
  redis.call('UNLINK', name)
  redis.call('ZREM', used, name)
  local size = redis.call('HGET', sizes, name)
  if size then
    redis.call('HDEL', sizes, name)
    redis.call('HINCRBY', sizes, '', -tonumber(size))
  end
end

local function note(name, size, place)
  redis.call('ZADD', used, now - place / 1000, name)
  redis.call('HSET', sizes, name, size)
  redis.call('HINCRBY', sizes, '', size)
end

local function total()
  return tonumber(redis.call('HGET', sizes, '') or '0')
end

local known, counted = redis.call('ZCARD', used), redis.call('HLEN', sizes)
if known + counted > 0 and counted ~= known + 1 then
  local names = redis.call('HKEYS', sizes)
  redis.call('DEL', sizes)
  for _, name in ipairs(names) do
    if name ~= '' then redis.call('ZADD', used, 'NX', now, name) end
  end
  for _, name in ipairs(redis.call('ZRANGE', used, 0, -1)) do
    local size = redis.call('STRLEN', name)
    if size == 0 then
      redis.call('ZREM', used, name)
    else
      redis.call('HSET', sizes, name, size)
      redis.call('HINCRBY', sizes, '', size)
    end
  end
end
"""

_KEEP: Final = (
    _SHARED
    + b"""
local name, value, ttl, cap, place = KEYS[3], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local evicted = 0
-- The first that writes: a server without memory refuses the first write of a script, and no other.
local old_size = redis.call('HGET', sizes, name)
redis.call('SET', name, value, 'PX', ttl)
if old_size then redis.call('HINCRBY', sizes, '', -tonumber(old_size)) end
note(name, #value, place)
for _, old in ipairs(redis.call('ZRANGEBYSCORE', used, '-inf', now - ttl / 1000, 'LIMIT', 0, 64)) do
  if redis.call('EXISTS', old) == 0 then forget(old) end
end
while total() > cap do
  forget(redis.call('ZRANGE', used, 0, 0)[1])
  evicted = evicted + 1
end
return {evicted, total()}
"""
)

_TOUCH: Final = (
    _SHARED
    + b"""
for place = 3, #KEYS do
  local name = KEYS[place]
  if redis.call('PEXPIRE', name, ARGV[1]) == 0 then
    forget(name)
  elseif redis.call('ZADD', used, 'XX', 'CH', now - place / 1000, name) == 0 and
      redis.call('HEXISTS', sizes, name) == 0 then
    note(name, redis.call('STRLEN', name), place)
  end
end
return {0, total()}
"""
)

_DROP: Final = (
    _SHARED
    + b"""
for place = 3, #KEYS do forget(KEYS[place]) end
return {0, total()}
"""
)

# Sent before all others of a batch: a server that was started anew knows no script.
LOADING: Final = tuple((b"SCRIPT", b"LOAD", script) for script in (_KEEP, _TOUCH, _DROP))


def keep(name: bytes, value: bytes, *, ttl: float, cap: int, place: int) -> tuple[bytes, ...]:
    """Return the command that keeps a value for `ttl` seconds after its last use, evicting what was used longest ago.

    The answer to this and the others is [values evicted, bytes held].

    Args:
        cap: bytes of all values; this one must be within it.
        place: in its chain; 0 is the first.
    """
    return (*_call(_KEEP, [name]), value, _in_ms(ttl), b"%d" % cap, b"%d" % place)


def touch(names: Sequence[bytes], *, ttl: float) -> tuple[bytes, ...]:
    """Return the command that takes note that these were used now."""
    return (*_call(_TOUCH, names), _in_ms(ttl))


def drop(names: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the command that removes these."""
    return _call(_DROP, names)


def _call(script: bytes, names: Sequence[bytes]) -> tuple[bytes, ...]:
    return (b"EVALSHA", _digest_of(script), b"%d" % (2 + len(names)), _USED, _SIZES, *names)


def _digest_of(script: bytes) -> bytes:
    return sha1(script, usedforsecurity=False).hexdigest().encode()


def _in_ms(seconds: float) -> bytes:
    return b"%d" % max(1, int(seconds * 1000))
