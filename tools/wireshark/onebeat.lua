-- Wireshark dissector of onebeat: FIXP orders (SOFH, SBE) and link frames between
-- nodes. Copy this file and onebeat_messages.lua into one folder of Lua plugins
-- (Help > About > Folders), or: tshark -X lua_script:onebeat.lua -r capture.pcap
--
-- Both are found by what stands in them, on any UDP port. What is wrong with a
-- message (lengths above all) is expert info: filter onebeat.malformed, or
-- _ws.expert.

local here = debug.getinfo(1, "S").source:match("^@(.*[/\\])") or ""
local schema = dofile(here .. "onebeat_messages.lua")

local SOFH_BYTES, HEADER_BYTES, MESSAGE_MAX = 6, 8, 256
local PREFIX_BYTES = SOFH_BYTES + HEADER_BYTES
local ENCODING_SBE = 0xEB50

local orders = Proto("onebeat", "onebeat orders (FIXP, SBE)")
local link = Proto("onebeat_link", "onebeat link frame")

-- Fields ---------------------------------------------------------------------

local F = orders.fields
F.length = ProtoField.uint32("onebeat.length", "Message length", base.DEC)
F.encoding = ProtoField.uint16("onebeat.encoding", "Encoding", base.HEX, { [ENCODING_SBE] = "SBE 1.0 little-endian" })
F.block = ProtoField.uint16("onebeat.block_length", "Block length", base.DEC)
local names = {}
for id, m in pairs(schema.messages) do names[id] = m.name end
F.template = ProtoField.uint16("onebeat.template", "Template", base.DEC, names)
F.schema = ProtoField.uint16("onebeat.schema", "Schema", base.DEC)
F.version = ProtoField.uint16("onebeat.version", "Version", base.HEX)
F.seqno = ProtoField.uint64("onebeat.seqno", "Sequence number of this message", base.DEC)
F.malformed = ProtoField.bool("onebeat.malformed", "Malformed")

-- One field for each name of the schema: a name has one type in all messages.
local constructors = {
  uint8 = ProtoField.uint8, uint16 = ProtoField.uint16, uint32 = ProtoField.uint32, uint64 = ProtoField.uint64,
  int64 = ProtoField.int64, UUID = ProtoField.guid,
}
local fields = {}
local function declare(message, spec)
  local name, kind, enum = spec[1], spec[2], spec.enum
  local key = name
  if fields[key] and (fields[key].kind ~= kind or fields[key].enum ~= enum) then key = message .. "_" .. name end
  if not fields[key] then
    local abbreviation = "onebeat." .. key:lower()
    local field
    if kind == "UUID" then field = ProtoField.guid(abbreviation, name)
    else field = constructors[kind](abbreviation, name, base.DEC, enum and schema.enums[enum] or nil) end
    fields[key] = { kind = kind, enum = enum, field = field }
    F["message_" .. key] = field
  end
  spec.field = fields[key].field
end
local ids = {}
for id in pairs(schema.messages) do ids[#ids + 1] = id end
table.sort(ids)
for _, id in ipairs(ids) do
  for _, spec in ipairs(schema.messages[id].fields) do declare(schema.messages[id].name, spec) end
end

local E = {
  truncated = ProtoExpert.new("onebeat.truncated", "The message is cut off", expert.group.MALFORMED, expert.severity.ERROR),
  length = ProtoExpert.new("onebeat.bad_length", "The message length is out of range", expert.group.MALFORMED, expert.severity.ERROR),
  encoding = ProtoExpert.new("onebeat.bad_encoding", "The encoding is not SBE's", expert.group.MALFORMED, expert.severity.ERROR),
  schema = ProtoExpert.new("onebeat.bad_schema", "Another schema or major version", expert.group.UNDECODED, expert.severity.WARN),
  template = ProtoExpert.new("onebeat.unknown_template", "No such template in this version", expert.group.UNDECODED, expert.severity.WARN),
  block = ProtoExpert.new("onebeat.bad_block_length", "The block length is not that of template and version", expert.group.MALFORMED, expert.severity.ERROR),
  resend = ProtoExpert.new("onebeat.poss_resend", "PossResend: may have been sent before under another number", expert.group.SEQUENCE, expert.severity.NOTE),
}
orders.experts = { E.truncated, E.length, E.encoding, E.schema, E.template, E.block, E.resend }

local function bad(tree, range, why)
  tree:add(F.malformed, range, true):set_generated()
  tree:add_proto_expert_info(why)
end

-- A block -------------------------------------------------------------------

local function add_field(tree, block, spec)
  local at, bytes = spec[3], spec[4]
  if at + bytes > block:len() then return nil end -- an older version ends before it
  local range = block(at, bytes)
  if spec[2] == "UUID" then tree:add(spec.field, range)
  else tree:add_le(spec.field, range) end
  return range
end

-- message dissects SBE header and block; it returns the template's name.
local function message(buffer, tree)
  local template = buffer(2, 2):le_uint()
  tree:add_le(F.block, buffer(0, 2))
  tree:add_le(F.template, buffer(2, 2))
  tree:add_le(F.schema, buffer(4, 2))
  tree:add_le(F.version, buffer(6, 2))
  local version = buffer(6, 2):le_uint()
  if buffer(4, 2):le_uint() ~= schema.id or bit.rshift(version, 8) ~= bit.rshift(schema.version, 8) then
    bad(tree, buffer(4, 4), E.schema)
    return nil
  end
  local m = schema.messages[template]
  if not m then
    bad(tree, buffer(2, 2), E.template)
    return nil
  end
  local length = buffer(0, 2):le_uint()
  local right = length == m.block and (m.base == m.block or version >= schema.version)
    or length > m.block and version > schema.version
    or length == m.base and version < schema.version
  if not right or buffer:len() ~= HEADER_BYTES + length then
    bad(tree, buffer(0, 2), E.block)
    return m.name
  end
  if length == 0 then return m.name, m end
  local block = buffer(HEADER_BYTES, length)
  for _, spec in ipairs(m.fields) do
    local range = add_field(tree, block, spec)
    if range and spec[1] == "PossResend" and range:uint() ~= 0 then tree:add_proto_expert_info(E.resend) end
  end
  return m.name, m, block
end

-- A datagram ----------------------------------------------------------------

local CONTEXT, SEQUENCE, RETRANSMISSION = 8, 7, 11

-- numbered tells what consumes a number of a flow.
local function numbered(template, m) return m.order or template == 14 end

function orders.dissector(buffer, pinfo, root)
  pinfo.cols.protocol = "ONEBEAT"
  local tree = root:add(orders, buffer())
  local at, said, number = 0, {}, nil
  while at < buffer:len() do
    local rest = buffer:len() - at
    if rest < PREFIX_BYTES then
      bad(tree, buffer(at), E.truncated)
      said[#said + 1] = "[cut off]"
      break
    end
    local length = buffer(at, 4):uint()
    if length < PREFIX_BYTES or length > MESSAGE_MAX or length > rest then
      local sub = tree:add(buffer(at), "Message")
      sub:add(F.length, buffer(at, 4))
      bad(sub, buffer(at, 4), (length > rest and length <= MESSAGE_MAX) and E.truncated or E.length)
      said[#said + 1] = "[bad length]"
      break
    end
    local sub = tree:add(buffer(at, length), "Message")
    sub:add(F.length, buffer(at, 4))
    sub:add(F.encoding, buffer(at + 4, 2))
    if buffer(at + 4, 2):uint() ~= ENCODING_SBE then
      bad(sub, buffer(at + 4, 2), E.encoding)
      break
    end
    local template = buffer(at + SOFH_BYTES + 2, 2):le_uint()
    local name, m, block = message(buffer(at + SOFH_BYTES, length - SOFH_BYTES):tvb(), sub)
    sub:set_text(name or "Message of template " .. template)
    if m and block then
      if template == CONTEXT or template == RETRANSMISSION then number = block(16, 8):le_uint64()
      elseif template == SEQUENCE then number = block(0, 8):le_uint64()
      elseif number and numbered(template, m) then
        sub:add(F.seqno, buffer(at, length), number):set_generated()
        number = number + 1
      end
    end
    said[#said + 1] = name or "[template " .. template .. "]"
    at = at + length
  end
  pinfo.cols.info = table.concat(said, ", ")
  return buffer:len()
end

orders:register_heuristic("udp", function(buffer, pinfo, tree)
  if buffer:len() < PREFIX_BYTES or buffer(4, 2):uint() ~= ENCODING_SBE or buffer(SOFH_BYTES + 4, 2):le_uint() ~= schema.id then
    return false
  end
  orders.dissector(buffer, pinfo, tree)
  return true
end)

-- Link frames ---------------------------------------------------------------

local MAGIC, LINK_BYTES, RECORD_BYTES, STEP, PAYLOAD_MAX = 0x31544231, 96, 32, 32, 1536

local types = { [1] = "MIRROR", [2] = "ACK", [3] = "STALE", [4] = "FENCED", [5] = "FORWARD", [6] = "PROBE", [7] = "LIFE", [8] = "HELLO" }
local states = { [0] = "INIT", [1] = "SYNCING", [2] = "STANDBY", [3] = "CANDIDATE", [4] = "ACTIVE", [5] = "FENCED" }
local paths = { [0] = "engine", [1] = "link program", [2] = "steering program", [3] = "engine, order NIC", [4] = "steering program, order NIC" }
local records = { [1] = "padding", [2] = "epoch", [3] = "digest", [4] = "session", [5] = "message", [6] = "venue", [7] = "timer", [8] = "operator", [9] = "fix" }

local L = link.fields
L.magic = ProtoField.uint32("onebeat_link.magic", "Magic", base.HEX)
L.version = ProtoField.uint8("onebeat_link.version", "Version", base.DEC)
L.type = ProtoField.uint8("onebeat_link.type", "Type", base.DEC, types)
L.lane = ProtoField.uint8("onebeat_link.lane", "Lane", base.DEC)
L.node = ProtoField.uint8("onebeat_link.node", "Node of the sender", base.DEC)
L.epoch = ProtoField.uint32("onebeat_link.epoch", "Epoch", base.DEC)
L.length = ProtoField.uint16("onebeat_link.length", "Bytes of records", base.DEC)
L.ride = ProtoField.uint16("onebeat_link.ride", "Bytes of the ride", base.DEC)
L.path = ProtoField.uint8("onebeat_link.path", "Path", base.DEC, paths)
L.flags = ProtoField.uint8("onebeat_link.flags", "Flags", base.HEX)
L.full = ProtoField.bool("onebeat_link.flags.full", "No room before the reader", 8, nil, 0x01)
L.gap = ProtoField.bool("onebeat_link.flags.gap", "Position beyond the tail", 8, nil, 0x02)
L.cross = ProtoField.bool("onebeat_link.flags.cross", "Would cross the ring's end", 8, nil, 0x04)
L.chain = ProtoField.bool("onebeat_link.flags.chain", "Let out by the standby", 8, nil, 0x08)
L.successor = ProtoField.uint32("onebeat_link.successor", "Successor, or next output", base.DEC)
L.position = ProtoField.uint64("onebeat_link.position", "Position", base.DEC)
L.tail = ProtoField.uint64("onebeat_link.tail", "Tail", base.DEC)
L.applied = ProtoField.uint64("onebeat_link.applied", "Applied or released", base.DEC)
L.authority_epoch = ProtoField.uint32("onebeat_link.authority.epoch", "Authority: epoch", base.DEC)
L.authority_state = ProtoField.uint32("onebeat_link.authority.state", "Authority: state", base.DEC, states)
L.incarnation = ProtoField.uint64("onebeat_link.incarnation", "Incarnation", base.HEX)
L.output = ProtoField.uint64("onebeat_link.output", "Output", base.DEC)
L.echo = ProtoField.uint64("onebeat_link.echo", "Echo", base.DEC)
L.counter = ProtoField.uint64("onebeat_link.counter", "Counter", base.DEC)
L.mac = ProtoField.uint64("onebeat_link.mac", "MAC", base.HEX)
L.record_length = ProtoField.uint32("onebeat_link.record.length", "Length", base.DEC)
L.record_type = ProtoField.uint16("onebeat_link.record.type", "Type", base.DEC, records)
L.record_flags = ProtoField.uint16("onebeat_link.record.flags", "Flags", base.HEX)
L.record_epoch = ProtoField.uint32("onebeat_link.record.epoch", "Epoch", base.DEC)
L.record_crc = ProtoField.uint32("onebeat_link.record.crc32c", "CRC-32C", base.HEX)
L.record_position = ProtoField.uint64("onebeat_link.record.position", "Position", base.DEC)
L.record_time = ProtoField.uint64("onebeat_link.record.time_ns", "Lane time (ns)", base.DEC)
L.record_session = ProtoField.uint32("onebeat_link.record.session", "Session index", base.DEC)
L.record_seqno = ProtoField.uint64("onebeat_link.record.seqno", "Sequence number", base.DEC)
L.payload = ProtoField.bytes("onebeat_link.record.payload", "Payload")
L.hello = ProtoField.bytes("onebeat_link.hello", "Body of the HELLO")

local LE = {
  truncated = ProtoExpert.new("onebeat_link.truncated", "The frame is shorter than its header", expert.group.MALFORMED, expert.severity.ERROR),
  length = ProtoExpert.new("onebeat_link.bad_length", "Header, records and ride are not the frame's length", expert.group.MALFORMED, expert.severity.ERROR),
  version = ProtoExpert.new("onebeat_link.bad_version", "Another version of link frames", expert.group.UNDECODED, expert.severity.WARN),
  type = ProtoExpert.new("onebeat_link.bad_type", "No such type of link frame", expert.group.UNDECODED, expert.severity.WARN),
  record = ProtoExpert.new("onebeat_link.bad_record", "The record's length leaves the frame", expert.group.MALFORMED, expert.severity.ERROR),
  refused = ProtoExpert.new("onebeat_link.refused", "The receiver did not append", expert.group.SEQUENCE, expert.severity.NOTE),
}
link.experts = { LE.truncated, LE.length, LE.version, LE.type, LE.record, LE.refused }

local ethernet = Dissector.get("eth_withoutfcs")

-- record dissects one record and returns how many bytes it takes in the ring; nil:
-- it is none.
local function record(buffer, tree, said)
  if buffer:len() < RECORD_BYTES then
    tree:add_proto_expert_info(LE.record)
    return nil
  end
  local length = buffer(0, 4):le_uint()
  local padded = math.floor((length + STEP - 1) / STEP) * STEP
  if length < RECORD_BYTES or padded > buffer:len() then
    tree:add(buffer(0), "Record"):add_proto_expert_info(LE.record)
    return nil
  end
  local kind = buffer(4, 2):le_uint()
  local name = records[kind] or "type " .. kind
  local sub = tree:add(buffer(0, padded), "Record: " .. name)
  sub:add_le(L.record_length, buffer(0, 4))
  sub:add_le(L.record_type, buffer(4, 2))
  sub:add_le(L.record_flags, buffer(6, 2))
  sub:add_le(L.record_epoch, buffer(8, 4))
  sub:add_le(L.record_crc, buffer(12, 4))
  sub:add_le(L.record_position, buffer(16, 8))
  sub:add_le(L.record_time, buffer(24, 8))
  local rest = length - RECORD_BYTES
  if (kind == 5 or kind == 6) and rest >= 16 + HEADER_BYTES then
    sub:add_le(L.record_session, buffer(32, 4))
    sub:add_le(L.record_seqno, buffer(40, 8))
    local of = sub:add(orders, buffer(48, rest - 16))
    local is = message(buffer(48, rest - 16):tvb(), of)
    of:set_text(is or "Message")
    name = is or name
  elseif rest > 0 then
    sub:add(L.payload, buffer(RECORD_BYTES, rest))
  end
  said[#said + 1] = name
  return padded
end

local function header(buffer, tree)
  tree:add_le(L.magic, buffer(0, 4))
  tree:add_le(L.version, buffer(4, 1))
  tree:add_le(L.type, buffer(5, 1))
  tree:add_le(L.lane, buffer(6, 1))
  tree:add_le(L.node, buffer(7, 1))
  tree:add_le(L.epoch, buffer(8, 4))
  tree:add_le(L.length, buffer(12, 2))
  tree:add_le(L.ride, buffer(14, 2))
  tree:add_le(L.path, buffer(16, 1))
  local flags = tree:add_le(L.flags, buffer(17, 1))
  for _, f in ipairs({ L.full, L.gap, L.cross, L.chain }) do flags:add_le(f, buffer(17, 1)) end
  tree:add_le(L.successor, buffer(20, 4))
  tree:add_le(L.position, buffer(24, 8))
  tree:add_le(L.tail, buffer(32, 8))
  tree:add_le(L.applied, buffer(40, 8))
  tree:add_le(L.authority_state, buffer(48, 4))
  tree:add_le(L.authority_epoch, buffer(52, 4))
  tree:add_le(L.incarnation, buffer(56, 8))
  tree:add_le(L.output, buffer(64, 8))
  tree:add_le(L.echo, buffer(72, 8))
  tree:add_le(L.counter, buffer(80, 8))
  tree:add_le(L.mac, buffer(88, 8))
end

function link.dissector(buffer, pinfo, root)
  pinfo.cols.protocol = "ONEBEAT-LINK"
  local tree = root:add(link, buffer())
  if buffer:len() < LINK_BYTES then
    tree:add_proto_expert_info(LE.truncated)
    pinfo.cols.info = "[cut off]"
    return buffer:len()
  end
  header(buffer, tree)
  local kind = buffer(5, 1):uint()
  local name = types[kind] or "type " .. kind
  if buffer(4, 1):uint() ~= 1 then tree:add_proto_expert_info(LE.version) end
  if not types[kind] then tree:add_proto_expert_info(LE.type) end
  local flags = buffer(17, 1):uint()
  if kind == 2 and bit.band(flags, 7) ~= 0 then tree:add_proto_expert_info(LE.refused) end
  local info = string.format("%s, lane %d, node %d, epoch %d", name, buffer(6, 1):uint(), buffer(7, 1):uint(), buffer(8, 4):le_uint())
  local length, ride = buffer(12, 2):le_uint(), buffer(14, 2):le_uint()
  if length % STEP ~= 0 or length + ride > PAYLOAD_MAX or LINK_BYTES + length + ride ~= buffer:len() then
    tree:add_proto_expert_info(LE.length)
    pinfo.cols.info = info .. " [bad length]"
    return buffer:len()
  end
  local said = {}
  if kind == 8 then
    if length > 0 then tree:add(L.hello, buffer(LINK_BYTES, length)) end
  else
    local at = LINK_BYTES
    while at < LINK_BYTES + length do
      local n = record(buffer(at, LINK_BYTES + length - at):tvb(), tree, said)
      if not n then break end
      at = at + n
    end
  end
  if #said > 0 then info = info .. ": " .. table.concat(said, ", ") end
  if ride > 0 then
    local sub = tree:add(buffer(LINK_BYTES + length, ride), "Ride")
    ethernet:call(buffer(LINK_BYTES + length, ride):tvb(), pinfo, sub)
    info = info .. ", with a ride"
    pinfo.cols.protocol = "ONEBEAT-LINK"
  end
  pinfo.cols.info = info
  return buffer:len()
end

link:register_heuristic("udp", function(buffer, pinfo, tree)
  if buffer:len() < 4 or buffer(0, 4):le_uint() ~= MAGIC then return false end
  link.dissector(buffer, pinfo, tree)
  return true
end)

-- For captures that the heuristics are switched off for: Decode As.
DissectorTable.get("udp.port"):add_for_decode_as(orders)
DissectorTable.get("udp.port"):add_for_decode_as(link)
