// A ThumbHash is a picture of some 25 bytes: the averages of three color channels and a few of their waves.

/** Return a data URL of the blurred picture that a base64 *hash* stands for, or "" where it is none. */
export function placeholder(hash) {
  let bytes;
  try {
    bytes = Uint8Array.from(atob(hash), (char) => char.charCodeAt(0));
  } catch {
    return "";
  }
  return bytes.length < 5 ? "" : draw(decode(bytes));
}

function decode(bytes) {
  const head = bytes[0] | (bytes[1] << 8) | (bytes[2] << 16);
  const tail = bytes[3] | (bytes[4] << 8);
  const hasAlpha = head >> 23 === 1;
  const landscape = tail >> 15 === 1;
  const most = hasAlpha ? 5 : 7;
  const least = Math.max(3, tail & 7);
  const [across, down] = landscape ? [most, least] : [least, most];
  const means = [(head & 63) / 63, ((head >> 6) & 63) / 31.5 - 1, ((head >> 12) & 63) / 31.5 - 1];
  const spreads = [((head >> 18) & 31) / 31, ((tail >> 3) & 63) / 63, ((tail >> 9) & 63) / 63];
  const nibble = nibbles(bytes, hasAlpha ? 6 : 5);
  const light = waves(Math.max(3, across), Math.max(3, down), spreads[0], nibble);
  const yellow = waves(3, 3, spreads[1] * 1.25, nibble);
  const red = waves(3, 3, spreads[2] * 1.25, nibble);
  const alpha = hasAlpha ? waves(5, 5, (bytes[5] >> 4) / 15, nibble) : [];
  const ratio = across / down;
  const [width, height] = ratio > 1 ? [32, Math.round(32 / ratio)] : [Math.round(32 * ratio), 32];
  const pixels = new Uint8ClampedArray(width * height * 4);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 4) {
      const [fx, fy] = [(x + 0.5) / width, (y + 0.5) / height];
      const l = means[0] + sum(light, fx, fy);
      const p = means[1] + sum(yellow, fx, fy);
      const q = means[2] + sum(red, fx, fy);
      const blue = l - (2 / 3) * p;
      const r = (3 * l - blue + q) / 2;
      pixels[at] = 255 * r;
      pixels[at + 1] = 255 * (r - q);
      pixels[at + 2] = 255 * blue;
      pixels[at + 3] = hasAlpha ? 255 * ((bytes[5] & 15) / 15 + sum(alpha, fx, fy)) : 255;
    }
  }
  return new ImageData(pixels, width, height);
}

/** Read four bits at a time, the low half of each byte first. */
function* nibbles(bytes, start) {
  for (let at = start; at < bytes.length; at++) {
    yield bytes[at] & 15;
    yield bytes[at] >> 4;
  }
}

/** Read the waves of one channel: how often each swings across and down, and how much. */
function waves(across, down, spread, nibble) {
  const found = [];
  for (let v = 0; v < down; v++) {
    for (let u = v ? 0 : 1; u * down < across * (down - v); u++) {
      const { value = 7.5 } = nibble.next();
      found.push([u, v, (value / 7.5 - 1) * spread]);
    }
  }
  return found;
}

function sum(waves, fx, fy) {
  return waves.reduce((total, [u, v, size]) => total + 2 * size * Math.cos(Math.PI * u * fx) * Math.cos(Math.PI * v * fy), 0);
}

function draw(image) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.width, image.height];
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas.toDataURL();
}
