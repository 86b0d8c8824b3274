import { utf8Encoder } from "../../core/text.ts";

/** A Lua script and the name Redis knows it by. */
export interface Script {
  readonly body: string;
  readonly sha: Promise<string>;
}

/** Lua: what shows that Redis may have lost keys ({@link Completeness}). Empty parts where INFO is not allowed. */
const WITNESS = `
local function fact(section, pattern)
  local text = redis.pcall('INFO', section)
  return type(text) == 'string' and string.match(text, pattern) or ''
end
local function witness()
  return fact('replication', 'master_replid:(%w+)') .. ' ' .. fact('stats', 'evicted_keys:(%d+)')
end
`;

/**
 * Takes or renews the lease of an instance.
 * KEYS: lease, holders, held. ARGV: `take` or `renew`, generation, earlier generations, lease TTL ms, backstop ms,
 * holder, region, connections, capacity. Answers { state, witness, eviction
 * policy (of a take) }; the state is 1, 0 when a lease to renew had run out or been taken by another generation, 2 when a
 * lease was taken from a generation that is not an earlier one.
 */
export const LEASE = script(`${WITNESS}
local lease, holders, held = KEYS[1], KEYS[2], KEYS[3]
local mode, gen, prev, ttl, backstop, holder = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local current = redis.call('HGET', lease, 'gen')
if mode == 'renew' and current ~= gen then return { 0, witness() } end
local known = not current or current == gen or string.find(' ' .. prev .. ' ', ' ' .. current .. ' ', 1, true)
redis.call('HSET', lease, 'gen', gen, 'prev', prev, 'region', ARGV[7], 'connections', ARGV[8], 'capacity', ARGV[9])
redis.call('PEXPIRE', lease, ttl)
redis.call('SADD', holders, holder)
redis.call('PEXPIRE', holders, backstop)
redis.call('PEXPIRE', held, backstop)
local policy = mode == 'take' and fact('memory', 'maxmemory_policy:(%S+)') or ''
return { known and 1 or 2, witness(), policy }
`);

/**
 * Ends a pipeline of reads, and tells whether what they found can be whole.
 * KEYS: the reader's lease, then hashes to count. ARGV: the reader's generation. Answers { 0 } when the lease is not the
 * reader's, else { 1, witness, size of each hash… }.
 */
export const GUARD = script(`${WITNESS}
if redis.call('HGET', KEYS[1], 'gen') ~= ARGV[1] then return { 0 } end
local answer = { 1, witness() }
for k = 2, #KEYS do answer[k + 1] = redis.call('HLEN', KEYS[k]) end
return answer
`);

/**
 * Gives a lease back. KEYS: lease, holders, held. ARGV: generation, holder, 1 when nothing is held under it any more
 * (otherwise it stays listed, and is swept).
 */
export const UNLEASE = script(`
if redis.call('HGET', KEYS[1], 'gen') == ARGV[1] then redis.call('DEL', KEYS[1]) end
if ARGV[3] == '1' then
  redis.call('SREM', KEYS[2], ARGV[2])
  redis.call('DEL', KEYS[3])
end
return 1
`);

/**
 * Decides who looks for dead instances in this round.
 * KEYS: lock, watched, hold-off, holders. ARGV: holder, lock ms, watched ms, hold-off ms. Answers nil to all but one
 * in each \`lock ms\`; that one gets {1 when a missing lease is no proof of death, else 0; the holders}.
 */
export const WATCH = script(`
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return nil end
if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('SET', KEYS[3], 1, 'PX', ARGV[4]) end
redis.call('SET', KEYS[2], 1, 'PX', ARGV[3])
return { redis.call('EXISTS', KEYS[3]), redis.call('SMEMBERS', KEYS[4]) }
`);

/** Keeps the sweep lock. KEYS: lock. ARGV: holder, lock ms. Answers 0 when it is not the holder's any more. */
export const KEEP = script(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`);

/**
 * Writes a batch of memberships and connections; each operation is atomic, one that fails does not stop the others.
 *
 * KEYS: the writer's lease and held set, then the operations' keys in order. ARGV: the writer's generation, backstop
 * ms, then the operations, as \`redis-ops.ts\` packs them:
 * - \`H\`old: keys conn, user, {members, users}…; client, member, 1 to index by user, 1 when the record follows,
 *   its values as RECORD names them, m, m × {channel, user, infos, most users or 0}. Answers one digit for each channel: 1 first of user, 2
 *   first of channel, 8 refused, because so many other users are in it.
 * - \`C\`laim: limit (0: none), n, n × member that does not count before it, and then what \`H\`old has. Answers 1 when
 *   held, 0 when the user has as many connections as may be; then a space, and the user's other members by spaces.
 * - \`R\`elease: keys conn, user, held, swept, {members, users}…; generation, client, member, 1 for the whole
 *   connection, what the swept hash shall say of it or nothing, m, m × channel. One digit for each channel: 1 last of
 *   user, 2 last of channel, 4 removed; of a whole connection that is not reported, then each membership's user.
 *
 * Answers one string for each operation: the digits, FENCED when the writer's lease is not its own any more (a
 * release needs none: it can only remove what its generation wrote), or ERROR. Fails as a whole when Redis takes no
 * writes.
 */
export const APPLY = script(`
local gen, backstop = ARGV[1], ARGV[2]
local fenced = redis.call('HGET', KEYS[1], 'gen') ~= gen
local k, a = 2, 2
local function key() k = k + 1 return KEYS[k] end
local function arg() a = a + 1 return ARGV[a] end
local function touch(name) redis.call('PEXPIRE', name, backstop) end
local held = false
local RECORD = { 'user', 'device', 'region', 'instance', 'ip', 'since' }

local function join(members, users, member, user, infos)
  local digit = 0
  if redis.call('HSET', members, member, gen .. ' ' .. user .. ' ' .. infos) == 1 then
    if redis.call('HINCRBY', users, user, 1) == 1 then digit = digit + 1 end
    if redis.call('HLEN', members) == 1 then digit = digit + 2 end
  end
  touch(members)
  touch(users)
  return digit
end

local function leave(members, users, member, owner)
  local value = redis.call('HGET', members, member)
  if not value then return 0 end
  local by, user = string.match(value, '^([^ ]*) ([^ ]*) ')
  if by ~= owner then return 0 end
  local digit = 4
  redis.call('HDEL', members, member)
  if redis.call('HINCRBY', users, user, -1) <= 0 then
    redis.call('HDEL', users, user)
    digit = digit + 1
  end
  if redis.call('HLEN', members) == 0 then digit = digit + 2 end
  return digit, value
end

local function hold()
  local conn, user, client, member, indexed = key(), key(), arg(), arg(), arg()
  local fields, channels = { 'gen', gen }, {}
  if arg() == '1' then
    for i = 1, #RECORD do fields[2 * i + 1], fields[2 * i + 2] = RECORD[i], arg() end
  end
  for i = 1, tonumber(arg()) do channels[i] = { key(), key(), arg(), arg(), arg(), tonumber(arg()) } end
  return function()
    if fenced then return 'FENCED' end
    local digits = {}
    for i, c in ipairs(channels) do
      if c[6] > 0 and redis.call('HEXISTS', c[2], c[4]) == 0 and redis.call('HLEN', c[2]) >= c[6] then
        digits[i] = 8
      else
        redis.call('HSET', conn, '@' .. c[3], gen)
        digits[i] = join(c[1], c[2], member, c[4], c[5])
      end
    end
    redis.call('HSET', conn, unpack(fields))
    touch(conn)
    if indexed == '1' then
      redis.call('SADD', user, member)
      touch(user)
    end
    redis.call('SADD', KEYS[2], client)
    if not held then
      touch(KEYS[2])
      held = true
    end
    return table.concat(digits)
  end, user, member
end

local function claim()
  local limit, ignored, others, counted = tonumber(arg()), {}, {}, 0
  for i = 1, tonumber(arg()) do ignored[arg()] = true end
  local run, user, member = hold()
  return function()
    if fenced then return 'FENCED' end
    for _, other in ipairs(redis.call('SMEMBERS', user)) do
      if other ~= member then
        others[#others + 1] = other
        if not ignored[other] then counted = counted + 1 end
      end
    end
    local admitted = limit == 0 or counted < limit
    if admitted then run() end
    return (admitted and '1 ' or '0 ') .. table.concat(others, ' ')
  end
end

local function release()
  local conn, user, held, swept = key(), key(), key(), key()
  local owner, client, member, whole, report = arg(), arg(), arg(), arg(), arg()
  local channels = {}
  for i = 1, tonumber(arg()) do channels[i] = { key(), key(), arg() } end
  return function()
    local digits, users, lines = {}, {}, { report }
    for i, c in ipairs(channels) do
      local digit, value = leave(c[1], c[2], member, owner)
      digits[i], users[i] = digit, value and string.match(value, '^[^ ]* ([^ ]*) ') or ''
      if value then lines[#lines + 1] = digit .. ' ' .. c[3] .. ' ' .. value end
      if redis.call('HGET', conn, '@' .. c[3]) == owner then redis.call('HDEL', conn, '@' .. c[3]) end
    end
    if whole == '1' then
      local own = redis.call('HGET', conn, 'gen') == owner
      if own then
        redis.call('DEL', conn)
        redis.call('SREM', user, member)
      else
        lines[1] = report ~= '' and '-' or ''
      end
      redis.call('SREM', held, client)
      if report ~= '' and (own or #lines > 1) then
        redis.call('HSET', swept, client, table.concat(lines, '\\n'))
        touch(swept)
      end
    end
    if whole ~= '1' or report ~= '' then return table.concat(digits) end
    return table.concat(digits) .. ' ' .. table.concat(users, ' ')
  end
end

local REFUSED = { 'READONLY', 'OOM', 'MISCONF', 'NOREPLICAS', 'NOPERM' }
local results = {}
while a < #ARGV do
  local kind = arg()
  local run = kind == 'H' and hold() or kind == 'C' and claim() or release()
  local ok, result = pcall(run)
  if not ok then
    local text = type(result) == 'table' and result.err or tostring(result)
    if string.find(text, 'user executing the script', 1, true) or string.find(text, 'ACL failure', 1, true) then
      text = 'NOPERM'
    end
    for i = 1, #REFUSED do
      if string.find(text, REFUSED[i], 1, true) then return { err = REFUSED[i] .. ' writes are refused' } end
    end
  end
  results[#results + 1] = ok and result or 'ERROR'
end
return results
`);

function script(text: string): Script {
  const body = text.trim();
  return { body, sha: sha1(body) };
}

async function sha1(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-1", utf8Encoder.encode(text));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
