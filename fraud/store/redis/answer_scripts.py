"""What a Redis or Valkey server runs for the scoring service, in Lua: each script is one atomic step."""

from typing import Final

from fraud.store.redis.scripts import FENCE, SAME_TERM, SET_ASIDE

VERSION: Final = """
local function version(key)
  local header = redis.call('GETRANGE', key, 0, 11)
  if header == '' then return '', '' end
  local at = 12 + struct.unpack('<I4', header, 9)
  return string.sub(header, 1, 8) .. redis.call('GETRANGE', key, at + 16, at + 23), header
end
"""

_TOUCH: Final = """
redis.call('HINCRBY', KEYS[1], 'flushes', 1)
"""
"""Where nothing is written, so that the replicas confirm also that: an old primary has none that would."""

_REPLACE: Final = (
    FENCE
    + SAME_TERM
    + VERSION
    + """
local low, high = struct.unpack('<I4I4', ARGV[2])
local changed, scores, founds, headers = {}, {}, {}, {}
for i = 3, #KEYS do
  founds[i], headers[i] = version(KEYS[i])
  if headers[i] ~= '' then
    local written_low, written_high = struct.unpack('<I4I4', headers[i])
    if written_high > high or (written_high == high and written_low > low) then
      return {'written later', string.sub(headers[i], 1, 8)}
    end
  end
end
for i = 3, #KEYS do
  local at = 4 * (i - 2) - 1
  if IS_CHANGED then
    changed[#changed + 1] = ARGV[at]
  else
    local before = ''
    if headers[i] ~= '' then
      before = redis.call('GETRANGE', KEYS[i], 12 + struct.unpack('<I4', headers[i], 9), -1)
    end
    redis.call('SET', KEYS[i], ARGV[2] .. struct.pack('<I4', #before) .. before .. ARGV[at + 2])
    scores[#scores + 1] = ARGV[at + 1]
    scores[#scores + 1] = ARGV[at]
  end
end
if #scores > 0 then redis.call('ZADD', KEYS[2], unpack(scores)) else
"""
    + _TOUCH
    + """
end
return {'ok', changed}
"""
)
REPLACE: Final = _REPLACE.replace("IS_CHANGED", "founds[i] ~= ARGV[at + 3]")
"""Keys: meta, newest event times, the states. Arguments: token, epoch (8 bytes), and for each state its
entity, the time of its newest event, its bytes, and the version that it was made from; last, the term that
they were read in."""
REPLACE_UNLOCKED: Final = (
    "local locks = table.remove(KEYS)\nlocal is_any = redis.call('EXISTS', locks) == 1\n"
    + _REPLACE.replace(
        "IS_CHANGED",
        "founds[i] ~= ARGV[at + 3] or (is_any and redis.call('HEXISTS', locks, KEYS[i]) == 1)",
    )
)
"""The same, with the locks (``fraud.store.sharded``) as the last key: a locked state has changed."""

COMMIT: Final = (
    SET_ASIDE
    + VERSION
    + """
local meta = redis.call('HMGET', KEYS[1], 'identity', 'term')
if redis.call('EXISTS', KEYS[2]) == 1 or ARGV[1] == '' or meta[1] ~= ARGV[1]
  or (ARGV[4] ~= '' and ARGV[4] ~= meta[2]) then
  return {'changed'}
end
local given = tonumber(redis.call('GET', KEYS[4]) or '0')
if given < tonumber(ARGV[#ARGV]) then
  set_aside()
  return {'older', given}
end
local headers = {}
for i = 5, #KEYS, 2 do
  local found, header = version(KEYS[i])
  if found ~= ARGV[4 * (i - 5) / 2 + 9] then return {'changed'} end
  headers[i] = header
end
for i = 5, #KEYS, 2 do
  local at = 4 * (i - 5) / 2 + 6
  local kept = ARGV[5]
  if headers[i] ~= '' then
    kept = redis.call('GETRANGE', KEYS[i], 0, 11 + struct.unpack('<I4', headers[i], 9))
  end
  redis.call('SET', KEYS[i], kept .. ARGV[at + 2])
  redis.call('ZADD', KEYS[i + 1], ARGV[at + 1], ARGV[at])
end
redis.call('SET', KEYS[2], ARGV[3])
local number = redis.call('INCR', KEYS[4])
redis.call('ZADD', KEYS[3], number, ARGV[2])
return {'ok', number}
"""
)
"""Keys: meta, the answer, outbox, its counter, and for each state its key and the newest event times.
Arguments: identity, transaction_id, the answer, the term that the states were read in, the header of a new
value, and for each state its entity, the time of its newest event, its bytes, and the version that it was
made from; last, the greatest number that a confirmed commit was given. A commit that is sent again, because
its answer was lost, finds the answer that it wrote. A store that has given fewer numbers is an older copy: it
is set aside."""

LEASE: Final = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return {'ok', 0} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {'ok', 1}
"""
"""Keys: the lease. Arguments: owner, milliseconds."""

CLAIM: Final = (
    _TOUCH
    + """
local claims = {}
for i = 3, #KEYS do
  local holder = redis.call('GETRANGE', KEYS[i], 0, 7)
  if holder == '' then
    claims[i - 2] = 2
  elseif holder == ARGV[2] then
    redis.call('SETRANGE', KEYS[i], 0, ARGV[1])
    redis.call('ZADD', KEYS[2], ARGV[3], ARGV[i + 1])
    claims[i - 2] = 0
  else
    claims[i - 2] = holder == ARGV[1] and 0 or 1
  end
end
return {'ok', claims}
"""
)
"""Keys: meta, ending, the answers. Arguments: epoch, nobody (8 bytes each), when they end, the ids."""

EXPIRE: Final = """
local over = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[1], 'LIMIT', 0, ARGV[2])
local deleted = 0
for i = 1, #over do
  deleted = deleted + redis.call('UNLINK', ARGV[3] .. over[i])
  redis.call('ZREM', KEYS[1], over[i])
end
return {'ok', #over, deleted}
"""
"""Keys: ending. Arguments: Unix seconds, how many at most, the answers' prefix."""
