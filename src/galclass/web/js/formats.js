/** What kind of file an image is, by its first bytes, and how the browser turns what it can decode into PNG. */

const LARGEST_SIDE_PX = 8192; // of a converted picture; larger ones are drawn smaller
const DRAWING_SIDE_PX = 848; // of a drawing without a size

/** Why a file cannot be sent, as a sentence. */
export class UnreadableFile extends Error {}

const text = (bytes, start, end) => String.fromCharCode(...bytes.slice(start, end));
const starts = (bytes, ...values) => values.every((value, index) => bytes[index] === value);
const BRANDS = { heic: "HEIC", heix: "HEIC", hevc: "HEIC", mif1: "HEIF", msf1: "HEIF", avif: "AVIF", avis: "AVIF" };

const KINDS = [
  ["JPEG", (b) => starts(b, 0xff, 0xd8, 0xff)],
  ["PNG", (b) => text(b, 0, 4) === "\x89PNG"],
  ["BMP", (b) => text(b, 0, 2) === "BM"],
  ["WebP", (b) => text(b, 0, 4) === "RIFF" && text(b, 8, 12) === "WEBP"],
  ["GIF", (b) => text(b, 0, 4) === "GIF8"],
  ["TIFF", (b) => ["II*\0", "MM\0*", "II+\0", "MM\0+"].includes(text(b, 0, 4))],
  ["JPEG XL", (b) => starts(b, 0xff, 0x0a) || text(b, 4, 8) === "JXL "],
  ["JPEG 2000", (b) => text(b, 4, 8) === "jP  " || starts(b, 0xff, 0x4f, 0xff, 0x51)],
  ["FITS", (b) => text(b, 0, 9) === "SIMPLE  ="],
  ["PDF", (b) => text(b, 0, 5) === "%PDF-"],
  ["ZIP", (b) => text(b, 0, 4) === "PK\x03\x04"],
  ["gzip", (b) => starts(b, 0x1f, 0x8b)],
  ["Photoshop", (b) => text(b, 0, 4) === "8BPS"],
  ["icon", (b) => starts(b, 0, 0, 1, 0)],
];

/** The format of a file by its first bytes (Uint8Array, 512 or more if there are): "JPEG", "WebP", ...; null if unknown. */
export function formatOf(bytes) {
  if (text(bytes, 4, 8) === "ftyp") return BRANDS[text(bytes, 8, 12)] ?? "MP4";
  const found = KINDS.find(([, fits]) => fits(bytes));
  if (found) return found[0];
  return /^\ufeff?\s*(<\?xml[^>]*>\s*)?(<!--[\s\S]*?-->\s*)?(<!DOCTYPE svg[^>]*>\s*)?<svg[\s>]/i.test(new TextDecoder().decode(bytes)) ? "SVG" : null;
}

const PACKED_FITS = /\.(?:fits|fit|fts)\.gz$/i;

const firstBytes = async (file) => new Uint8Array(await file.slice(0, 1024).arrayBuffer());

/** Whether a file can still be read: it may have changed or vanished since it was chosen. */
export async function isReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false; // browsers throw errors of several kinds
  }
}

/** Whether a file is FITS, which no browser draws. */
export async function isFits(file) {
  const kind = formatOf(await firstBytes(file));
  return kind === "FITS" || (kind === "gzip" && PACKED_FITS.test(file.name));
}

const SENT_AS_THEY_ARE = new Set(["JPEG", "PNG", "BMP", "FITS"]);
const NEVER_PICTURES = new Set(["PDF", "ZIP", "gzip", "MP4"]);
const ADVICE = {
  ZIP: "Unpack it, or run galclass predict on it",
  gzip: "Unpack it, or run galclass predict on it",
};

/**
 * Make a file that the service reads: JPEG, PNG, BMP and FITS unchanged, anything else that the browser can draw as PNG.
 * Files of unknown format go to the service, which explains its refusal. Returns {file, converted: name or null}.
 */
export async function sendable(file) {
  const kind = formatOf(await firstBytes(file));
  const packedFits = kind === "gzip" && PACKED_FITS.test(file.name);
  if (kind === null || packedFits || SENT_AS_THEY_ARE.has(kind)) return { file, converted: null };
  const advice = ADVICE[kind] ?? "Save it as JPEG or PNG";
  if (NEVER_PICTURES.has(kind)) throw new UnreadableFile(`This is a ${kind} file, not an image. ${advice}.`);
  try {
    return { file: await asPng(file, kind), converted: kind };
  } catch {
    throw new UnreadableFile(`This is a ${kind} file, which this browser cannot draw. ${advice}.`); // decoders throw errors of many kinds
  }
}

async function asPng(file, kind) {
  const drawn = kind === "SVG" ? await drawing(file) : await createImageBitmap(file);
  const scale = Math.min(1, LARGEST_SIDE_PX / Math.max(drawn.width, drawn.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(drawn.width * scale));
  canvas.height = Math.max(1, Math.round(drawn.height * scale));
  const context = canvas.getContext("2d");
  context.drawImage(drawn, 0, 0, canvas.width, canvas.height);
  drawn.close?.();
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  if (!blob) throw new UnreadableFile("The image is too large to be drawn.");
  return new File([blob], file.name, { type: "image/png" });
}

/** An SVG as an image element, in which its scripts do not run and nothing is fetched. */
async function drawing(file) {
  const url = URL.createObjectURL(new Blob([file], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = url;
    await image.decode();
    image.width = image.naturalWidth || DRAWING_SIDE_PX;
    image.height = image.naturalHeight || DRAWING_SIDE_PX;
    return image;
  } finally {
    URL.revokeObjectURL(url);
  }
}
