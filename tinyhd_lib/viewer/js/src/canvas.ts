// Draws a picture on the CPU, for browsers without WebGL: the same computation as in painter.ts.

import { enlargement } from "./enlarge";
import { type Draws, LEVELS, type Picture, type Shown } from "./picture";

// A map enlarged to (height, width), 0 (black) to 1 (white).
export function enlarged({ map, gain, offset }: Shown, width: number, height: number): Float32Array {
  const grey = new Float32Array(width * height);
  if (!map) return grey;
  const across = enlargement(map.columns, width);
  const down = enlargement(map.rows, height);
  const middle = new Float32Array(width * map.rows);
  for (let row = 0; row < map.rows; row++)
    for (let column = 0; column < width; column++) {
      let sum = 0;
      for (let n = 0; n < across.taps; n++) {
        const at = Math.min(across.starts[column] + n, map.columns - 1);
        sum += across.weights[column * across.taps + n] * map.levels[row * map.columns + at];
      }
      middle[row * width + column] = sum / 255;
    }
  for (let row = 0; row < height; row++)
    for (let n = 0; n < down.taps; n++) {
      const weight = down.weights[row * down.taps + n];
      const line = Math.min(down.starts[row] + n, map.rows - 1) * width;
      for (let column = 0; column < width; column++) grey[row * width + column] += weight * middle[line + column];
    }
  for (let at = 0; at < grey.length; at++) grey[at] = Math.min(Math.max(grey[at] * gain + offset, 0), 1);
  return grey;
}

// What is blended over a pixel: the index of its colour in a table of 256, and its opacity.
type Laid = (at: number) => [level: number, opaque: number];

// Blends colours of a table into the frame's RGBA pixels.
export function laidOver(pixels: Uint8ClampedArray, colours: Uint8Array, laid: Laid): void {
  for (let at = 0; at < pixels.length / 4; at++) {
    const [level, opaque] = laid(at);
    for (let n = 0; n < 3; n++) pixels[4 * at + n] += opaque * (colours[3 * level + n] - pixels[4 * at + n]);
  }
}

export class Canvas implements Draws {
  readonly kind = "canvas";
  private context: CanvasRenderingContext2D;

  constructor(readonly canvas: HTMLCanvasElement) {
    this.context = canvas.getContext("2d", { willReadFrequently: true }) as CanvasRenderingContext2D;
  }

  draw(picture: Picture): void {
    const { width, height, view, colours } = picture;
    this.canvas.width = view === "side-by-side" ? 2 * width : width;
    this.canvas.height = height;
    this.context.drawImage(picture.image, 0, 0, width, height);
    const data = this.context.getImageData(0, 0, width, height);
    const first = enlarged(picture.first, width, height);
    const over = (grey: Float32Array, at: number): [number, number] => {
      const level = Math.round(255 * grey[at]);
      return [level, (picture.alpha * Math.max(level / 255 - picture.floor, 0)) / (1 - picture.floor)];
    };
    if (view === "overlay") laidOver(data.data, colours, (at) => over(first, at));
    else if (view === "map" || view === "side-by-side") laidOver(data.data, colours, (at) => [Math.round(255 * first[at]), 1]);
    else if (view === "contours") this.contours(data, first, picture);
    else {
      const second = enlarged(picture.second, width, height);
      const line = Math.round(picture.border * width);
      if (view === "wipe") laidOver(data.data, colours, (at) => over(at % width < line ? first : second, at));
      else
        laidOver(data.data, picture.diverging, (at) => {
          const apart = Math.round(255 * first[at]) - Math.round(255 * second[at]);
          const bounded = Math.min(Math.max(apart, -128), 127);
          return [bounded + 128, (picture.alpha * Math.abs(bounded)) / 128];
        });
    }
    this.context.putImageData(data, view === "side-by-side" ? width : 0, 0);
    if (view === "wipe") {
      const line = Math.round(picture.border * width);
      this.context.fillStyle = "black";
      this.context.fillRect(line - 1, 0, 3, height);
      this.context.fillStyle = "white";
      this.context.fillRect(line, 0, 1, height);
    }
  }

  dispose(): void {}

  private contours({ data }: ImageData, grey: Float32Array, { width, height, colours }: Picture): void {
    const at = (row: number, column: number) =>
      grey[Math.min(Math.max(row, 0), height - 1) * width + Math.min(Math.max(column, 0), width - 1)];
    const steep = new Float32Array(grey.length);
    for (let row = 0; row < height; row++)
      for (let column = 0; column < width; column++)
        steep[row * width + column] = Math.max(
          Math.hypot(at(row, column + 1) - at(row, column - 1), at(row + 1, column) - at(row - 1, column)) / 2,
          1e-4,
        );
    LEVELS.forEach((level, n) => {
      for (const [more, colour] of [
        [1.5, new Uint8Array(768)],
        [0.5, colours],
      ] as const)
        laidOver(data, colour, (place) => [
          Math.round(255 * level),
          Math.min(Math.max((n + 1) / 2 + more - Math.abs(grey[place] - level) / steep[place], 0), 1),
        ]);
    });
  }
}
