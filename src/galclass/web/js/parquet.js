/** Rows as a Parquet file: one row group, plain values without compression, every column optional. */

const MAGIC = new TextEncoder().encode("PAR1");
const [INT32, DOUBLE, BYTE_ARRAY] = [1, 5, 6];
const [PLAIN, RLE] = [0, 3];
const [OPTIONAL, UTF8, UNCOMPRESSED, DATA_PAGE] = [1, 0, 0, 0];
const KINDS = { int32: INT32, float64: DOUBLE, string: BYTE_ARRAY };

/** Thrift's compact protocol, as far as the footer needs it: functions from a value to [type, bytes]. */
function varint(value) {
  const bytes = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return [...bytes, value];
}

const int = (value) => [5, varint(2 * value)];
const long = (value) => [6, varint(2 * value)];
const text = (value) => {
  const bytes = new TextEncoder().encode(value);
  return [8, [...varint(bytes.length), ...bytes]];
};

function list(type, values) {
  const head = values.length < 15 ? [(values.length << 4) | type] : [0xf0 | type, ...varint(values.length)];
  return [9, head.concat(...values.map(([, bytes]) => bytes))];
}

/** A struct from its fields by number; those that are null are left out. */
function struct(fields) {
  const bytes = [];
  let last = 0;
  for (const [number, field] of Object.entries(fields)) {
    if (!field) continue;
    bytes.push(((number - last) << 4) | field[0], ...field[1]);
    last = Number(number);
  }
  return [12, [...bytes, 0]];
}

/** Which values there are: a length, then one bit-packed run of one bit for each. */
function definitionLevels(values) {
  const groups = Math.ceil(values.length / 8);
  const head = varint(groups * 2 + 1);
  const bytes = new Uint8Array(4 + head.length + groups);
  new DataView(bytes.buffer).setUint32(0, head.length + groups, true);
  bytes.set(head, 4);
  values.forEach((value, index) => {
    if (value !== null) bytes[4 + head.length + (index >> 3)] |= 1 << index % 8;
  });
  return bytes;
}

function plainNumbers(values, kind) {
  const width = kind === "int32" ? 4 : 8;
  const view = new DataView(new ArrayBuffer(width * values.length));
  values.forEach((value, index) => (width === 4 ? view.setInt32(4 * index, value, true) : view.setFloat64(8 * index, value, true)));
  return new Uint8Array(view.buffer);
}

function plainTexts(values) {
  const encoded = values.map((value) => new TextEncoder().encode(value));
  const bytes = new Uint8Array(encoded.reduce((sum, one) => sum + 4 + one.length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const one of encoded) {
    view.setUint32(at, one.length, true);
    bytes.set(one, at + 4);
    at += 4 + one.length;
  }
  return bytes;
}

/** One column as a page with its header. */
function page(values, kind) {
  const there = values.filter((value) => value !== null);
  const parts = [definitionLevels(values), kind === "string" ? plainTexts(there) : plainNumbers(there, kind)];
  const size = parts[0].length + parts[1].length;
  const about = struct({ 1: int(values.length), 2: int(PLAIN), 3: int(RLE), 4: int(RLE) });
  return [new Uint8Array(struct({ 1: int(DATA_PAGE), 2: int(size), 3: int(size), 5: about })[1]), ...parts];
}

function schemaOf(columns) {
  const root = struct({ 4: text("schema"), 5: int(columns.length) });
  return [root, ...columns.map(([name, kind]) => struct({ 1: int(KINDS[kind]), 3: int(OPTIONAL), 4: text(name), 6: kind === "string" ? int(UTF8) : null }))];
}

/**
 * Write rows as Parquet; returns the parts of a Blob.
 * `columns` are pairs of name and "string", "int32" or "float64"; a value that is null or undefined is NULL.
 */
export function asParquet(rows, columns) {
  const parts = [MAGIC];
  const chunks = [];
  let offset = MAGIC.length;
  for (const [name, kind] of rows.length ? columns : []) {
    const written = page(rows.map((row) => row[name] ?? null), kind);
    const size = written.reduce((sum, part) => sum + part.length, 0);
    const about = struct({ 1: int(KINDS[kind]), 2: list(5, [int(PLAIN), int(RLE)]), 3: list(8, [text(name)]), 4: int(UNCOMPRESSED), 5: long(rows.length), 6: long(size), 7: long(size), 9: long(offset) });
    chunks.push(struct({ 2: long(offset), 3: about }));
    parts.push(...written);
    offset += size;
  }
  const group = struct({ 1: list(12, chunks), 2: long(offset - MAGIC.length), 3: long(rows.length) });
  const footer = new Uint8Array(struct({ 1: int(1), 2: list(12, schemaOf(columns)), 3: long(rows.length), 4: list(12, rows.length ? [group] : []), 6: text("galclass") })[1]);
  const length = new DataView(new ArrayBuffer(4));
  length.setUint32(0, footer.length, true);
  return [...parts, footer, new Uint8Array(length.buffer), MAGIC];
}
