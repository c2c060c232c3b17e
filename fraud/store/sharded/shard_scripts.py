"""What one server of several runs for a commit that touches states on others, in Lua.

The order of such a commit is in ``fraud.store.sharded.answers``. A *lock* is a field of the hash ``locks``,
named as the key of its state, which holds the new state until the commit is decided: 16 bytes of the
attempt, the server's time (8 bytes, seconds), then version, newest event time, transaction_id (each after its
length) and state. Nobody writes over a locked state. Numbers grow along every chain of commits (a Lamport
clock), so that the outbox's parts merge in the order of counting.
"""

from typing import Final

from fraud.store.redis.answer_scripts import VERSION
from fraud.store.redis.scripts import SET_ASIDE

_GREATER: Final = """
local given = tonumber(redis.call('GET', KEYS[2]) or '0')
if given < tonumber(ARGV[3]) then
  set_aside()
  return {'older', given}
end
"""
_MAY_COUNT: Final = """
local meta = redis.call('HMGET', KEYS[1], 'identity', 'term')
if ARGV[1] == '' or meta[1] ~= ARGV[1] or (ARGV[2] ~= '' and ARGV[2] ~= meta[2]) then return {'changed'} end
"""
_HOLDER: Final = """
local function holder(key)
  local lock = redis.call('HGET', KEYS[3], key)
  return lock and string.sub(lock, 1, 16)
end
"""

LOCK: Final = (
    SET_ASIDE
    + VERSION
    + _HOLDER
    + _MAY_COUNT
    + _GREATER
    + """
for i = 4, #KEYS do
  local by = holder(KEYS[i])
  if by and by ~= ARGV[4] then return {'locked', KEYS[i]} end
  if version(KEYS[i]) ~= ARGV[2 * i - 3] then return {'changed'} end
end
local now = redis.call('TIME')
local head = ARGV[4] .. struct.pack('<d', now[1] + now[2] / 1e6)
for i = 4, #KEYS do redis.call('HSET', KEYS[3], KEYS[i], head .. ARGV[2 * i - 2]) end
return {'ok', redis.call('INCR', KEYS[2])}
"""
)
"""Keys: meta, the number, locks, the states. Arguments: identity, the term that they were read in, the
greatest number that was confirmed, the attempt, and for each state its version and the rest of its lock."""

DECIDE: Final = (
    SET_ASIDE
    + VERSION
    + _HOLDER
    + """
if redis.call('EXISTS', KEYS[6]) == 1 then return {'undone'} end
if redis.call('EXISTS', KEYS[4]) == 1 then
  if redis.call('GETRANGE', KEYS[4], -16, -1) ~= ARGV[4] then return {'changed'} end
  redis.call('HINCRBY', KEYS[1], 'flushes', 1)
  return {'ok', tonumber(redis.call('GET', KEYS[2]))}
end
"""
    + _MAY_COUNT
    + _GREATER
    + """
local headers = {}
for i = 7, #KEYS, 2 do
  local at = 2 * i - 5
  if holder(KEYS[i]) then return {'locked', KEYS[i]} end
  local found, header = version(KEYS[i])
  if found ~= ARGV[at + 3] then return {'changed'} end
  headers[i] = header
end
for i = 7, #KEYS, 2 do
  local at = 2 * i - 5
  local kept = ARGV[8]
  if headers[i] ~= '' then
    kept = redis.call('GETRANGE', KEYS[i], 0, 11 + struct.unpack('<I4', headers[i], 9))
  end
  redis.call('SET', KEYS[i], kept .. ARGV[at + 2])
  redis.call('ZADD', KEYS[i + 1], ARGV[at + 1], ARGV[at])
end
redis.call('SET', KEYS[4], ARGV[7] .. ARGV[4])
local number = math.max(given, tonumber(ARGV[6])) + 1
redis.call('SET', KEYS[2], string.format('%.0f', number))
redis.call('ZADD', KEYS[5], number, ARGV[5])
return {'ok', number}
"""
)
"""The commit itself, where the answer lies. Keys: meta, the number, locks, the answer, the outbox, the mark
of an undone attempt, and for each state here its key and the newest event times. Arguments: identity, term,
the greatest number, the attempt, transaction_id, the greatest number of the locks, the answer, the header of
a new value, and for each state its entity, the time of its newest event, its bytes, and its version. One that
is sent again, because its answer was lost, is confirmed again."""

FATE: Final = """
redis.call('HINCRBY', KEYS[4], 'flushes', 1)
local number = tonumber(redis.call('GET', KEYS[3]) or '0')
if redis.call('EXISTS', KEYS[2]) == 1 then return {'undone', number} end
if redis.call('GETRANGE', KEYS[1], -16, -1) == ARGV[1] then return {'done', number} end
if ARGV[2] == '0' then return {'open', number} end
redis.call('SET', KEYS[2], '', 'PX', ARGV[2])
return {'undone', number}
"""
"""Keys: the answer, the mark of an undone attempt, the number, meta. Arguments: the attempt, and how long the
mark stays that keeps it undone, milliseconds; 0: leave it open. It always writes, so that replicas confirm
what it says: a failover may forget what they do not have."""

APPLY: Final = (
    VERSION
    + """
for i = 4, #KEYS, 2 do
  local lock = redis.call('HGET', KEYS[3], KEYS[i])
  if lock and string.sub(lock, 1, 16) == ARGV[1] then
    local before, newest, _, at = struct.unpack('<I4c0I4c0I4c0', lock, 25)
    local found, header = version(KEYS[i])
    if found == before or found == '' then
      local kept = ARGV[3]
      if header ~= '' then
        kept = redis.call('GETRANGE', KEYS[i], 0, 11 + struct.unpack('<I4', header, 9))
      end
      redis.call('SET', KEYS[i], kept .. string.sub(lock, at))
      redis.call('ZADD', KEYS[i + 1], newest, ARGV[2 + i / 2])
    end
    redis.call('HDEL', KEYS[3], KEYS[i])
  end
end
local number = math.max(tonumber(redis.call('GET', KEYS[2]) or '0'), tonumber(ARGV[2])) + 1
redis.call('SET', KEYS[2], string.format('%.0f', number))
return {'ok', number}
"""
)
"""Keys: meta, the number, locks, and for each state its key and the newest event times. Arguments: the
attempt, the commit's number, the header of a new value, the entities. What a rebuild has written meanwhile
stays."""

UNLOCK: Final = (
    _HOLDER
    + """
for i = 4, #KEYS do
  if holder(KEYS[i]) == ARGV[1] then redis.call('HDEL', KEYS[3], KEYS[i]) end
end
return {'ok', 1}
"""
)
"""Keys: meta, the number, locks, the states. Arguments: the attempt."""

TAKE: Final = """
local meta = redis.call('HMGET', KEYS[1], 'token', 'owner')
local newest = tonumber(meta[1] or '0')
if ARGV[2] == '' then
  newest = math.max(newest, tonumber(ARGV[3])) + 1
elseif tonumber(ARGV[2]) > newest then
  newest = tonumber(ARGV[2])
else
  return {'taken over', newest, meta[2] or 'unknown'}
end
redis.call('HSET', KEYS[1], 'token', string.format('%.0f', newest), 'owner', ARGV[1])
return {'ok', newest}
"""
"""Keys: meta. Arguments: the owner, the token or nothing, which asks for one above the last argument."""

GENERATION: Final = """
local known = redis.call('HGET', KEYS[1], ARGV[1])
local most = tonumber(redis.call('HGET', KEYS[1], 'generations') or '0')
if not known then
  known = tonumber(ARGV[2])
  if known == 0 then known = math.max(most, tonumber(ARGV[3])) + 1 end
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', known))
end
if tonumber(known) > most then redis.call('HSET', KEYS[1], 'generations', string.format('%.0f', known)) end
return {'ok', tonumber(known)}
"""
"""Keys: meta. Arguments: the field of the query, its generation or 0, which asks for one above the last."""
