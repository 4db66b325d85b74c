// Files that the browser itself writes: tables, pictures, and short animations as WebP.

import { h } from "./dom";

export function download(name: string, content: Blob): void {
  const address = URL.createObjectURL(content);
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

// A CSV file of these rows, with cells quoted where necessary.
export function csv(lines: string[][]): Blob {
  const quoted = (cell: string) => (/[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
  return new Blob([lines.map((line) => `${line.map(quoted).join(",")}\n`).join("")], { type: "text/csv" });
}

function chunk(name: string, content: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(8 + content.length + (content.length % 2));
  bytes.set([...name].map((letter) => letter.charCodeAt(0)));
  new DataView(bytes.buffer).setUint32(4, content.length, true);
  bytes.set(content, 8);
  return bytes;
}

function joined(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function whole(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, n) => Math.floor(value / 256 ** n) % 256);
}

// The picture within a WebP file: its first chunk that holds pixels.
function pixelsOf(file: Uint8Array): Uint8Array {
  for (let at = 12; at + 8 <= file.length; ) {
    const length = new DataView(file.buffer, file.byteOffset + at + 4).getUint32(0, true);
    const end = at + 8 + length + (length % 2);
    if (String.fromCharCode(...file.subarray(at, at + 3)) === "VP8" && file[at + 3] !== "X".charCodeAt(0)) return file.subarray(at, end);
    at = end;
  }
  throw new Error("this browser cannot write WebP");
}

// An animated WebP that loops for ever, from WebP files of the same size and the duration of each in milliseconds.
export function animated(files: Uint8Array[], milliseconds: number[], width: number, height: number): Blob {
  const size = [...whole(width - 1, 3), ...whole(height - 1, 3)];
  const head = chunk("VP8X", Uint8Array.from([2, 0, 0, 0, ...size])); // 2: animated
  const anim = chunk("ANIM", Uint8Array.from([0, 0, 0, 255, 0, 0])); // black background, endless loop
  const frames = files.map((file, n) => {
    const about = Uint8Array.from([...whole(0, 6), ...size, ...whole(Math.round(milliseconds[n]), 3), 2]); // 2: no blending
    return chunk("ANMF", joined([about, pixelsOf(file)]));
  });
  const body = joined([Uint8Array.from([..."WEBP"].map((letter) => letter.charCodeAt(0))), head, anim, ...frames]);
  return new Blob([chunk("RIFF", body)], { type: "image/webp" });
}
