// What is marked on the picture: gaze, the most salient pixel, and where two maps differ most.

import type { Points } from "./parts";
import type { FrameMap } from "./types";

export function observerColour(observer: number): string {
  return `hsl(${(observer * 137.5) % 360} 85% 65%)`; // the golden angle: neighbours differ
}

// Points of some frames: [frame, observer, x, y] each.
export function pointsOf(chunks: (Points | undefined)[], first: number, last: number): [number, number, number, number][] {
  const found: [number, number, number, number][] = [];
  for (const points of chunks)
    for (let at = 0; points && at < points.length; at += 4)
      if (points[at] >= first && points[at] <= last) found.push([points[at], points[at + 1], points[at + 2], points[at + 3]]);
  return found;
}

// Where the first map is furthest above the second, and furthest below: x and y in parts of the width and height.
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

  constructor(readonly canvas: HTMLCanvasElement) {
    this.context = canvas.getContext("2d") as CanvasRenderingContext2D;
  }

  clear(width: number, height: number): void {
    if (this.canvas.width !== width || this.canvas.height !== height) [this.canvas.width, this.canvas.height] = [width, height];
    else if (this.isMarked) this.context.clearRect(0, 0, width, height);
    this.isMarked = false;
  }

  // Rings where people look now, and their ways there.
  gaze(points: [number, number, number, number][], frame: number, span: number, width: number): void {
    const { context, canvas } = this;
    this.isMarked = true;
    const radius = Math.max(3, width / 160);
    const before = new Map<number, [number, number, number]>();
    context.lineCap = "round";
    for (const [at, observer, x, y] of points) {
      const place: [number, number] = [x * width, y * canvas.height];
      const age = span > 0 ? (frame - at) / span : 0;
      const previous = before.get(observer);
      if (previous && observer >= 0) {
        context.globalAlpha = 1 - 0.8 * age;
        context.lineWidth = 2;
        context.strokeStyle = observerColour(observer);
        context.beginPath();
        context.moveTo(previous[0], previous[1]);
        context.lineTo(...place);
        context.stroke();
      }
      before.set(observer, [...place, at]);
      if (at !== frame) continue;
      context.globalAlpha = 1;
      this.ring(place, radius, observer < 0 ? "white" : observerColour(observer));
    }
    context.globalAlpha = 1;
  }

  cross(x: number, y: number, width: number): void {
    this.isMarked = true;
    const size = Math.max(6, width / 80);
    const place: [number, number] = [x * width, y * this.canvas.height];
    for (const [colour, thick] of [
      ["black", 3],
      ["white", 1],
    ] as const) {
      this.context.strokeStyle = colour;
      this.context.lineWidth = thick;
      this.context.beginPath();
      this.context.moveTo(place[0] - size, place[1]);
      this.context.lineTo(place[0] + size, place[1]);
      this.context.moveTo(place[0], place[1] - size);
      this.context.lineTo(place[0], place[1] + size);
      this.context.stroke();
    }
  }

  sign(text: string, x: number, y: number, width: number): void {
    const { context } = this;
    this.isMarked = true;
    context.font = `bold ${Math.max(18, width / 26)}px sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineWidth = 4;
    context.strokeStyle = "black";
    context.fillStyle = "white";
    context.strokeText(text, x * width, y * this.canvas.height);
    context.fillText(text, x * width, y * this.canvas.height);
  }

  private ring([x, y]: [number, number], radius: number, colour: string): void {
    const { context } = this;
    for (const [each, style] of [
      [radius + 1.5, "black"],
      [radius, colour],
    ] as const) {
      context.strokeStyle = style;
      context.lineWidth = 1.5;
      context.beginPath();
      context.arc(x, y, each, 0, 2 * Math.PI);
      context.stroke();
    }
  }
}
