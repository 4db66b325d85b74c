// Draws marks on the picture: gaze, regions, the most salient pixel, and where two maps differ most.

import { observerColour } from "./colours";
import type { Outline } from "./regions";
import type { GazePoint } from "./scene";
import type { FrameMap, Point } from "./types";

// Where the first map exceeds the second most, and where it is below it most; x and y in fractions of width and height.
export function extremes(first: FrameMap, second: FrameMap): { sign: string; x: number; y: number }[] {
  const { rows, columns } = first;
  let [most, least, above, below] = [0, 0, -1, -1];
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) {
      const at = row * columns + column;
      const across = Math.floor((column * second.columns) / columns);
      const apart = first.levels[at] - second.levels[Math.floor((row * second.rows) / rows) * second.columns + across];
      if (apart > most) [most, above] = [apart, at];
      if (apart < least) [least, below] = [apart, at];
    }
  return [
    { sign: "+", at: above },
    { sign: "−", at: below },
  ]
    .filter(({ at }) => at >= 0)
    .map(({ sign, at }) => ({ sign, x: ((at % columns) + 0.5) / columns, y: (Math.floor(at / columns) + 0.5) / rows }));
}

export class Marks {
  private context: CanvasRenderingContext2D;
  private isMarked = false;
  private cell = { x: 0, y: 0, width: 1, height: 1 };

  constructor(readonly canvas: HTMLCanvasElement) {
    this.context = canvas.getContext("2d") as CanvasRenderingContext2D;
  }

  clear(width: number, height: number): void {
    if (this.canvas.width !== width || this.canvas.height !== height) [this.canvas.width, this.canvas.height] = [width, height];
    else if (this.isMarked) this.context.clearRect(0, 0, width, height);
    this.isMarked = false;
  }

  // Place the marks that follow within this cell of the canvas.
  within(x: number, y: number, width: number, height: number): void {
    this.cell = { x, y, width, height };
  }

  // Rings where observers look at this frame, and their scanpaths over the `span` frames before it.
  gaze(points: GazePoint[], frame: number, span: number): void {
    const { context, cell } = this;
    this.isMarked = true;
    const radius = Math.max(3, cell.width / 160);
    const before = new Map<number, [number, number]>();
    context.lineCap = "round";
    for (const [at, observer, x, y] of points) {
      const place = this.place([x, y]);
      const previous = before.get(observer);
      if (previous && observer >= 0) {
        context.globalAlpha = 1 - (0.8 * (frame - at)) / Math.max(span, 1);
        context.lineWidth = 2;
        context.strokeStyle = observerColour(observer);
        context.beginPath();
        context.moveTo(...previous);
        context.lineTo(...place);
        context.stroke();
      }
      before.set(observer, place);
      if (at !== frame) continue;
      context.globalAlpha = 1;
      this.ring(place, radius, observer < 0 ? "white" : observerColour(observer));
    }
    context.globalAlpha = 1;
  }

  cross(x: number, y: number): void {
    const { context } = this;
    const size = Math.max(6, this.cell.width / 80);
    const [across, down] = this.place([x, y]);
    this.lined("white", 1, () => {
      context.moveTo(across - size, down);
      context.lineTo(across + size, down);
      context.moveTo(across, down - size);
      context.lineTo(across, down + size);
    });
  }

  sign(text: string, x: number, y: number): void {
    this.write(text, this.place([x, y]), Math.max(18, this.cell.width / 26), "center");
  }

  region({ name, points, colour, closed, held }: Outline): void {
    const { context } = this;
    if (!points.length) return;
    const places = points.map((each) => this.place(each));
    this.lined(colour, 2, () => {
      for (const place of places) context.lineTo(...place);
      if (closed) context.closePath();
    });
    if (held) for (const place of places) this.ring(place, 5, "white");
    const [left, top] = places.reduce(([x, y], place) => (place[1] < y || (place[1] === y && place[0] < x) ? place : [x, y]));
    this.write(name, [left + 6, Math.min(top + 14, this.cell.y + this.cell.height - 8)], Math.max(12, this.cell.width / 50), "left");
  }

  private place([x, y]: Point): [number, number] {
    const { cell } = this;
    return [cell.x + x * cell.width, cell.y + y * cell.height];
  }

  private write(text: string, [x, y]: [number, number], letters: number, align: CanvasTextAlign): void {
    const { context } = this;
    this.isMarked = true;
    context.font = `bold ${letters}px sans-serif`;
    context.textAlign = align;
    context.textBaseline = "middle";
    context.lineJoin = "round";
    context.lineWidth = 4;
    context.strokeStyle = "black";
    context.fillStyle = "white";
    context.strokeText(text, x, y);
    context.fillText(text, x, y);
  }

  private ring([x, y]: [number, number], radius: number, colour: string): void {
    this.lined(colour, 1.5, () => this.context.arc(x, y, radius, 0, 2 * Math.PI));
  }

  // A line with a black outline, so that it is visible on any background.
  private lined(colour: string, thick: number, path: () => void): void {
    const { context } = this;
    this.isMarked = true;
    for (const [style, width] of [
      ["black", thick + 2],
      [colour, thick],
    ] as const) {
      context.strokeStyle = style;
      context.lineWidth = width;
      context.beginPath();
      path();
      context.stroke();
    }
  }
}
