// Draws and edits regions with pointer and keys: drags rectangles, clicks polygons' corners, moves corners or regions.

import { isInside, moved, type Outline, outlinesOf, placed, rectangle } from "./regions";
import type { Point, Region } from "./types";

const NUDGE = 0.01;
export const HOW = "drag a rectangle, or click corner by corner and press Enter; Escape stops";

export interface Asked {
  regions(): Region[];
  frame(): number;
  change(regions: Region[]): void;
  redraw(): void;
  tell(text: string): void;
}

export class Outliner {
  selected = -1;
  isDrawing = false;
  private corners: Point[] = []; // of the region being drawn
  private pressed: Point | null = null;
  private held: { corner: number; points: Point[]; from: Point } | null = null;
  private preview: Region[] | null = null;
  private moving = new Set<string>(); // names of regions that have one key frame so far, and are to get more

  constructor(private asked: Asked) {}

  begin(): void {
    this.isDrawing = !this.isDrawing;
    this.corners = [];
    this.selected = -1;
    this.asked.tell(this.isDrawing ? HOW : "");
    this.asked.redraw();
  }

  select(index: number): void {
    this.selected = index;
    this.asked.redraw();
  }

  moves(region: Region): boolean {
    return region.keys.length > 1 || this.moving.has(region.name);
  }

  // Let a region move by key frames, or fix it where it is at this frame.
  setMoves(index: number, moves: boolean): void {
    const region = this.asked.regions()[index];
    const [frame, points] = [this.asked.frame(), placed(region, this.asked.frame())];
    if (moves) this.moving.add(region.name);
    else this.moving.delete(region.name);
    this.replace(index, { ...region, keys: [{ frame: moves ? frame : 0, points }] });
  }

  rename(index: number, name: string): void {
    const regions = this.asked.regions();
    if (!name || regions.some((each, n) => n !== index && each.name === name)) {
      this.asked.tell(`there is a region ${name || "without a name"} already`);
      return;
    }
    if (this.moving.delete(regions[index].name)) this.moving.add(name);
    this.replace(index, { ...regions[index], name });
  }

  drop(index: number): void {
    this.selected = -1;
    this.asked.change(this.asked.regions().filter((_, n) => n !== index));
  }

  // Handle a pointer press; returns whether it was used. `near` is the distance within which a corner is hit.
  press(at: Point, near: number): boolean {
    if (this.isDrawing) {
      if (this.corners.length > 2 && distance(at, this.corners[0]) < near) this.finish(this.corners);
      else this.pressed = at;
      return true;
    }
    const regions = this.asked.regions();
    const chosen = regions[this.selected];
    if (chosen) {
      const points = placed(chosen, this.asked.frame());
      const corner = points.findIndex((each) => distance(each, at) < near);
      if (corner >= 0 || isInside(points, at)) {
        this.held = { corner, points, from: at };
        return true;
      }
    }
    const before = this.selected;
    this.selected = regions.findLastIndex((each) => isInside(placed(each, this.asked.frame()), at));
    if (this.selected !== before) this.asked.redraw();
    return this.selected >= 0;
  }

  drag(at: Point): boolean {
    if (this.held) {
      const { corner, points, from } = this.held;
      const shift = (each: Point, n: number): Point => (corner < 0 || n === corner ? [each[0] + at[0] - from[0], each[1] + at[1] - from[1]] : each);
      this.preview = this.with(this.selected, points.map(shift));
    }
    if (this.pressed && !this.corners.length) this.preview = [...this.asked.regions(), { name: "", keys: [{ frame: 0, points: rectangle(this.pressed, at) }] }];
    if (!this.held && !this.pressed) return false;
    this.asked.redraw();
    return true;
  }

  release(at: Point, near: number): boolean {
    const { pressed, held, preview } = this;
    [this.pressed, this.held, this.preview] = [null, null, null];
    if (held && preview) this.asked.change(preview);
    if (pressed) {
      if (!this.corners.length && distance(pressed, at) > near) this.finish(rectangle(pressed, at));
      else this.corners.push(at);
      this.asked.redraw();
    }
    return Boolean(pressed ?? held);
  }

  // Handle Enter and Escape while drawing, and shift with arrows, and Delete, for the selected region; returns whether
  // the key was used.
  key(key: string, shift: boolean): boolean {
    if (this.isDrawing && key === "Enter" && this.corners.length > 2) this.finish(this.corners);
    else if (this.isDrawing && key === "Escape") this.begin();
    else if (this.selected >= 0 && key === "Delete") this.drop(this.selected);
    else if (this.selected >= 0 && shift && key in STEPS) {
      const points = placed(this.asked.regions()[this.selected], this.asked.frame());
      const [x, y] = STEPS[key];
      this.asked.change(this.with(this.selected, points.map((each): Point => [each[0] + x * NUDGE, each[1] + y * NUDGE])));
    } else return false;
    return true;
  }

  // The outlines of all regions at this frame.
  outlines(): Outline[] {
    const outlines = outlinesOf(this.preview ?? this.asked.regions(), this.asked.frame(), this.selected);
    if (this.corners.length) outlines.push({ name: "", points: this.corners, colour: "white", closed: false, held: true });
    return outlines;
  }

  private finish(points: Point[]): void {
    const regions = this.asked.regions();
    let number = 1;
    while (regions.some(({ name }) => name === `region ${number}`)) number += 1;
    [this.isDrawing, this.corners, this.pressed, this.selected] = [false, [], null, regions.length];
    this.asked.tell("");
    this.asked.change([...regions, { name: `region ${number}`, keys: [{ frame: 0, points: points.map(bounded) }] }]);
  }

  private with(index: number, points: Point[]): Region[] {
    const regions = this.asked.regions();
    return regions.map((each, n) => (n === index ? moved(each, this.asked.frame(), points.map(bounded), this.moves(each)) : each));
  }

  private replace(index: number, region: Region): void {
    this.asked.change(this.asked.regions().map((each, n) => (n === index ? region : each)));
  }
}

const STEPS: Record<string, Point> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function distance([x1, y1]: Point, [x2, y2]: Point): number {
  return Math.hypot(x1 - x2, y1 - y2);
}

function bounded([x, y]: Point): Point {
  return [Math.min(Math.max(x, 0), 1), Math.min(Math.max(y, 0), 1)].map((each) => Math.round(1e4 * each) / 1e4) as Point;
}
