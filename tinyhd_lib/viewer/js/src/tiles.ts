// Several maps at once: the tiles of the grid view, and the correlation of two maps.

import type { FrameMap } from "./types";

// Columns and rows for `count` tiles of this aspect ratio (width to height), so that they fill a wide picture.
export function layout(count: number, shape: number): [columns: number, rows: number] {
  const columns = Math.min(count, Math.max(1, Math.ceil(Math.sqrt((count * 1.78) / shape) - 0.2)));
  return [columns, Math.ceil(count / columns)];
}

export class Tiles {
  readonly canvas = document.createElement("canvas");
  private context = this.canvas.getContext("2d") as CanvasRenderingContext2D;

  size(width: number, height: number): void {
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
  }

  put(picture: HTMLCanvasElement, x: number, y: number, name: string): void {
    const { context } = this;
    context.drawImage(picture, x, y);
    const letters = Math.max(12, Math.round(picture.width / 32));
    context.font = `600 ${letters}px sans-serif`;
    context.textBaseline = "top";
    context.lineJoin = "round";
    context.lineWidth = letters / 4;
    context.strokeStyle = "black";
    context.fillStyle = "white";
    context.strokeText(name, x + 6, y + 6, picture.width - 12);
    context.fillText(name, x + 6, y + 6, picture.width - 12);
  }
}

// The correlation of two maps, -1 to 1; NaN where one of them is flat.
export function correlation(first: FrameMap, second: FrameMap): number {
  const { rows, columns } = first;
  let [sumA, sumB, sumAA, sumBB, sumAB] = [0, 0, 0, 0, 0];
  for (let row = 0; row < rows; row++) {
    const other = Math.floor(((row + 0.5) * second.rows) / rows) * second.columns;
    for (let column = 0; column < columns; column++) {
      const a = first.levels[row * columns + column];
      const b = second.levels[other + Math.floor(((column + 0.5) * second.columns) / columns)];
      sumA += a;
      sumB += b;
      sumAA += a * a;
      sumBB += b * b;
      sumAB += a * b;
    }
  }
  const count = rows * columns;
  const spread = Math.sqrt((sumAA - (sumA * sumA) / count) * (sumBB - (sumB * sumB) / count));
  return spread > 0 ? (sumAB - (sumA * sumB) / count) / spread : Number.NaN;
}
