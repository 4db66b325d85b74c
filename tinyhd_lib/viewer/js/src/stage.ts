// The viewport of the picture: zooming, panning, and pointer events.

import { h } from "./dom";
import type { Point } from "./types";

const MOST_ZOOMED = 8;
const NEAR = 9; // pixels within which a corner is hit

export interface Pointing {
  press(at: Point, near: number): boolean; // whether the press was used; if not, dragging pans the picture
  drag(at: Point): boolean;
  release(at: Point, near: number): void;
  over(at: Point | null): void;
  zoomed(): void;
}

export class Stage {
  readonly root: HTMLElement;
  private sheet: HTMLElement;
  private view = { scale: 1, x: 0.5, y: 0.5 };
  private isOurs = false; // whether the drag pans the picture
  private cells: [number, number] = [1, 1];

  constructor(
    private pointing: Pointing,
    ...layers: HTMLElement[]
  ) {
    this.sheet = h("div", { class: "tinyhd-sheet" }, ...layers);
    this.root = h("div", { class: "tinyhd-stage" }, this.sheet);
    this.listen();
  }

  get scale(): number {
    return this.view.scale;
  }

  // Set how many columns and rows of frames there are, and the aspect ratio (width to height) of one.
  setCells(cells: [number, number], shape: number): void {
    this.cells = cells;
    this.root.style.setProperty("--shape", String((shape * cells[0]) / cells[1]));
    this.root.style.setProperty("--columns", String(cells[0]));
  }

  zoom(factor: number, [x, y]: Point = [this.view.x, this.view.y]): void {
    const before = this.view.scale;
    const scale = Math.min(Math.max(before * factor, 1), MOST_ZOOMED);
    const follow = (middle: number, place: number) => place + ((middle - place) * before) / scale;
    this.view = { scale, x: follow(this.view.x, x), y: follow(this.view.y, y) };
    this.place();
    this.pointing.zoomed();
  }

  private listen(): void {
    const { root, pointing } = this;
    root.addEventListener("pointerdown", (event) => {
      root.setPointerCapture(event.pointerId);
      this.isOurs = !pointing.press(this.placeOf(event), this.near);
    });
    root.addEventListener("pointermove", (event) => {
      if (event.buttons && this.isOurs) this.pan(event.movementX, event.movementY);
      else if (event.buttons) pointing.drag(this.placeOf(event));
      pointing.over(this.placeOf(event));
    });
    root.addEventListener("pointerup", (event) => pointing.release(this.placeOf(event), this.near));
    root.addEventListener("pointerleave", () => pointing.over(null));
    root.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey && !event.metaKey) return; // else the notebook scrolls; a pinch gesture sets ctrlKey
        event.preventDefault();
        this.zoom(1.15 ** -Math.sign(event.deltaY), this.onSheet(event));
      },
      { passive: false },
    );
  }

  private get near(): number {
    return (NEAR * this.cells[0]) / this.sheet.getBoundingClientRect().width;
  }

  // Where the pointer is on the picture, in fractions of its width and height.
  private onSheet(event: MouseEvent): Point {
    const box = this.sheet.getBoundingClientRect();
    const within = (value: number) => Math.min(Math.max(value, 0), 1);
    return [within((event.clientX - box.left) / box.width), within((event.clientY - box.top) / box.height)];
  }

  // Where the pointer is on the frame under it, in fractions of that frame's width and height.
  private placeOf(event: MouseEvent): Point {
    const [x, y] = this.onSheet(event);
    const within = (value: number, count: number) => (value >= 1 ? 1 : (value * count) % 1);
    return [within(x, this.cells[0]), within(y, this.cells[1])];
  }

  private pan(x: number, y: number): void {
    const { view, root } = this;
    view.x -= x / (view.scale * root.clientWidth);
    view.y -= y / (view.scale * root.clientHeight);
    this.place();
  }

  private place(): void {
    const { scale } = this.view;
    const bounded = (middle: number) => Math.min(Math.max(middle, 0.5 / scale), 1 - 0.5 / scale);
    [this.view.x, this.view.y] = [bounded(this.view.x), bounded(this.view.y)];
    const shift = (middle: number) => `${100 * (0.5 - middle) * scale}%`;
    this.sheet.style.transform = `translate(${shift(this.view.x)}, ${shift(this.view.y)}) scale(${scale})`;
  }
}
