// Files that must be refused, made here, so that the page can show what a user gets to read.

export const BAD = { text: webPage, empty, bomb, large };

function webPage() {
  return new File(["<!doctype html><script>alert(1)</script>"], "holiday.jpg", { type: "image/jpeg" });
}

function empty() {
  return new File([], "nothing.png", { type: "image/png" });
}

/** A PNG of a hundred bytes whose header promises 50,000 x 50,000 pixels. */
function bomb() {
  const size = new Uint8Array(13);
  const view = new DataView(size.buffer);
  view.setUint32(0, 50000);
  view.setUint32(4, 50000);
  size.set([8, 2, 0, 0, 0], 8);
  const signature = Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10);
  const pixels = Uint8Array.of(120, 156, 99, 0, 0, 0, 1, 0, 1);
  return new File([signature, chunk("IHDR", size), chunk("IDAT", pixels), chunk("IEND", new Uint8Array())], "bomb.png", { type: "image/png" });
}

function large() {
  const data = new Uint8Array(11 * 1024 * 1024);
  data.set([0xff, 0xd8, 0xff, 0xe0]);
  return new File([data], "poster.jpg", { type: "image/jpeg" });
}

function chunk(name, content) {
  const bytes = new Uint8Array(12 + content.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, content.length);
  bytes.set([...name].map((char) => char.charCodeAt(0)), 4);
  bytes.set(content, 8);
  view.setUint32(8 + content.length, crc(bytes.subarray(4, 8 + content.length)));
  return bytes;
}

function crc(bytes) {
  let sum = ~0;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (0xedb88320 & -(sum & 1));
  }
  return ~sum >>> 0;
}
