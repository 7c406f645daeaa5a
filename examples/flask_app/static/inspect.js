// What a file carries besides its picture: read before it is sent, so that the panel can say what was removed.

const EXIF = "camera and settings (EXIF)";
const PLACE = "the place it was taken (GPS)";
const XMP = "editing history (XMP)";
const PROFILE = "a color profile (colors converted to sRGB)";
const COMMENT = "a comment";

/** Return a list of sentences' ends, such as "a comment". */
export async function carried(file) {
  const data = new DataView(await file.slice(0, 1 << 20).arrayBuffer());
  const found = new Set();
  try {
    if (text(data, 0, 2) === "\xff\xd8") jpeg(data, found);
    else if (text(data, 1, 3) === "PNG") png(data, found);
    else if (text(data, 8, 4) === "WEBP") webp(data, found);
    else if (text(data, 0, 3) === "GIF" && /\x21\xfe/.test(text(data, 0, Math.min(data.byteLength, 65536)))) found.add(COMMENT);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // it ends early: what was found so far counts
  }
  return [...found];
}

function text(data, at, length) {
  return String.fromCharCode(...Array.from({ length }, (_, n) => (at + n < data.byteLength ? data.getUint8(at + n) : 0)));
}

function jpeg(data, found) {
  for (let at = 2; data.getUint8(at) === 0xff; ) {
    const marker = data.getUint8(at + 1);
    if (marker === 0xda) return;
    const begin = text(data, at + 4, 12);
    if (marker === 0xe1 && begin.startsWith("Exif")) exif(data, at + 10, found);
    if (marker === 0xe1 && begin.startsWith("http")) found.add(XMP);
    if (marker === 0xe2 && begin.startsWith("ICC_PROFILE")) found.add(PROFILE);
    if (marker === 0xed) found.add("newsroom notes (IPTC)");
    if (marker === 0xfe) found.add(COMMENT);
    at += 2 + data.getUint16(at + 2);
  }
}

function exif(data, start, found) {
  found.add(EXIF);
  const little = data.getUint16(start) === 0x4949;
  const table = start + data.getUint32(start + 4, little);
  for (let n = 0; n < data.getUint16(table, little); n++) {
    const tag = data.getUint16(table + 2 + 12 * n, little);
    if (tag === 0x8825) found.add(PLACE);
    if (tag === 0x0112 && data.getUint16(table + 10 + 12 * n, little) > 1) found.add("a rotation tag (now turned upright)");
  }
}

function png(data, found) {
  const meanings = { eXIf: EXIF, iCCP: PROFILE, tEXt: COMMENT, zTXt: COMMENT, iTXt: COMMENT };
  for (let at = 8; at < data.byteLength; at += 12 + data.getUint32(at)) {
    const meaning = meanings[text(data, at + 4, 4)];
    if (meaning) found.add(meaning);
  }
}

function webp(data, found) {
  const meanings = { EXIF, ICCP: PROFILE, "XMP ": XMP };
  for (let at = 12; at < data.byteLength; ) {
    const meaning = meanings[text(data, at, 4)];
    if (meaning) found.add(meaning);
    const size = data.getUint32(at + 4, true);
    at += 8 + size + (size % 2);
  }
}
