"""What a Redis or Valkey server runs for us, in Lua: each script is one atomic step.

A script answers with a list: ``ok`` and a number, or why it did nothing.
"""

from typing import Final

TERM: Final = """
local id = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if redis.call('GET', KEYS[2]) ~= id then
  redis.call('SET', KEYS[2], id)
  redis.call('HSET', KEYS[1], 'term', id)
end
return {'ok', 1}
"""
"""Keys: meta, the term. A server gets another replication id whenever it becomes the primary; the term stands
twice, to be read with the states (MGET) and to be compared with the token."""

FENCE: Final = """
local meta = redis.call('HMGET', KEYS[1], 'token', 'owner', 'term')
if ARGV[1] ~= '' and ARGV[1] ~= (meta[1] or '0') then
  return {'taken over', meta[1] or '0', meta[2] or 'unknown'}
end
"""
SAME_TERM: Final = """
if ARGV[#ARGV] ~= '' and ARGV[#ARGV] ~= meta[3] then return {'another term'} end
"""

GENERATION_OF: Final = """
local known = redis.call('HGET', KEYS[1], ARGV[1])
if not known then
  known = redis.call('HINCRBY', KEYS[1], 'generations', 1)
  redis.call('HSET', KEYS[1], ARGV[1], known)
end
return {'ok', tonumber(known)}
"""
"""Keys: meta. Arguments: the field of the query."""

ACQUIRE: Final = """
local token = redis.call('HINCRBY', KEYS[1], 'token', 1)
redis.call('HSET', KEYS[1], 'owner', ARGV[1])
return {'ok', token}
"""
"""Keys: meta. Arguments: the owner."""

WRITE: Final = (
    FENCE
    + SAME_TERM
    + """
local low, high = struct.unpack('<I4I4', ARGV[2])
local headers = {}
for i = 3, #KEYS do
  local header = redis.call('GETRANGE', KEYS[i], 0, 11)
  if header ~= '' then
    local written_low, written_high = struct.unpack('<I4I4', header)
    if written_high > high or (written_high == high and written_low > low) then
      return {'written later', string.sub(header, 1, 8)}
    end
  end
  headers[i] = header
end
local scores = {}
for i = 3, #KEYS do
  local before = ''
  if headers[i] ~= '' then
    local length = struct.unpack('<I4', headers[i], 9)
    if string.sub(headers[i], 1, 8) == ARGV[2] then
      if length > 0 then before = redis.call('GETRANGE', KEYS[i], 12, 11 + length) end
    else
      before = redis.call('GETRANGE', KEYS[i], 12 + length, -1)
    end
  end
  local at = 3 * (i - 2)
  redis.call('SET', KEYS[i], ARGV[2] .. struct.pack('<I4', #before) .. before .. ARGV[at + 2])
  scores[#scores + 1] = ARGV[at + 1]
  scores[#scores + 1] = ARGV[at]
end
redis.call('ZADD', KEYS[2], unpack(scores))
return {'ok', #KEYS - 2}
"""
)
"""``encode_value`` where the states lie, so that only the new ones travel.

Lua's numbers are float64, exact to 2**53: an epoch, up to 2**63, is compared in two halves.

Keys: meta, newest event times, the states. Arguments: token, epoch (8 bytes), and for each state its
entity, the time of its newest event, and its bytes; last, the term that they were read in, or nothing. All
are checked before the first is written.
"""

EXPIRE: Final = (
    FENCE
    + """
local idle = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. ARGV[2], 'LIMIT', 0, ARGV[3])
for i = 1, #idle do
  redis.call('UNLINK', ARGV[4] .. idle[i])
  redis.call('ZREM', KEYS[2], idle[i])
end
return {'ok', #idle}
"""
)
"""Keys: meta, newest event times. Arguments: token or nothing, time, how many at most, the states' prefix."""

ADVANCE: Final = (
    FENCE
    + """
local found = redis.call('HGET', KEYS[1], 'watermark') or ''
if found ~= ARGV[2] and found ~= ARGV[3] then return {'set back', found} end
redis.call('HSET', KEYS[1], 'watermark', ARGV[3])
return {'ok', 1}
"""
)
"""Keys: meta. Arguments: token, the watermark before or nothing, the new one."""

SET_ASIDE: Final = """
local function set_aside()
  local found = redis.call('HMGET', KEYS[1], 'identity', 'formers')
  if found[1] and found[1] ~= '' then
    redis.call('HSET', KEYS[1], 'formers', (found[2] or '') .. ' ' .. found[1], 'identity', '')
  end
end
"""
DO_SET_ASIDE: Final = SET_ASIDE + "set_aside()\nreturn {'ok', 1}\n"
"""Keys: meta."""
