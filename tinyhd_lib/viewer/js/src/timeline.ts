// The timeline below the picture: traces, an axis of seconds and frames, notes, the range, and the current frame.

import { COLOURS, DASHES } from "./colours";
import { h } from "./dom";
import { clock, frameAt, short, tickStep } from "./times";
import type { Note } from "./types";

const AXIS = 30; // pixels
const ONE_LANE = 78;
const LANE = 58;
const DRAGGED = 4;

export interface Line {
  name: string;
  values: ArrayLike<number | null>;
  colour: number; // index into COLOURS
  dash: number; // index into DASHES
}

// Lines of the same quantity, with a vertical scale of their own.
export interface Lane {
  title: string;
  unit: string;
  lines: Line[];
}

// A lane with the lowest and greatest of its values; null if none is known.
type Ranged = Lane & { range: [low: number, high: number] | null };

function isKnown(value: number | null): value is number {
  return value !== null && !Number.isNaN(value);
}

function ranged(lane: Lane): Ranged {
  const known = lane.lines.flatMap(({ values }) => Array.from(values).filter(isKnown));
  // There may be too many values for the arguments of one call.
  const bound = (which: (a: number, b: number) => number) => known.reduce((a, b) => which(a, b));
  return { ...lane, range: known.length ? [bound(Math.min), bound(Math.max)] : null };
}

export interface Asked {
  go(frame: number): void;
  choose(start: number, stop: number): void;
}

export class Timeline {
  readonly root: HTMLElement;
  private canvas: HTMLCanvasElement;
  private tip = h("div", { class: "tinyhd-tip", hidden: true });
  times: Float64Array = new Float64Array();
  private lanes: Ranged[] = [];
  private frame = 0;
  private notes: Note[] = [];
  private range: [number, number] = [0, 0];
  private window: [number, number];
  private pressed: { x: number; frame: number; scrub: boolean; moved: boolean } | null = null;

  constructor(
    private frames: number,
    private asked: Asked,
  ) {
    this.window = [0, frames];
    this.range = [0, frames - 1];
    const about = { tabindex: "-1", role: "slider", "aria-label": "Timeline", "aria-valuemin": "0", "aria-valuemax": String(frames - 1), "aria-valuenow": "0" };
    this.canvas = h("canvas", about);
    this.root = h("div", { class: "tinyhd-timeline" }, this.canvas, this.tip);
    this.canvas.addEventListener("pointerdown", (event) => this.press(event));
    this.canvas.addEventListener("pointermove", (event) => this.move(event));
    this.canvas.addEventListener("pointerup", (event) => this.release(event));
    this.canvas.addEventListener("pointerleave", () => (this.tip.hidden = true));
    this.canvas.addEventListener("wheel", (event) => this.zoom(event), { passive: false });
    this.canvas.addEventListener("dblclick", () => {
      this.window = [0, this.frames];
      this.asked.choose(0, -1);
      this.draw();
    });
  }

  show(lanes: Lane[]): void {
    this.lanes = lanes.map(ranged);
    this.draw();
  }

  update(frame: number, notes: Note[], range: [number, number]): void {
    [this.frame, this.notes, this.range] = [frame, notes, range];
    const [from, to] = this.window;
    if (frame < from || frame >= to) this.window = this.bounded(frame - (to - from) / 4, to - from);
    this.canvas.setAttribute("aria-valuenow", String(frame));
    this.canvas.setAttribute("aria-valuetext", `frame ${frame}, ${clock(this.times[frame] ?? 0)}`);
    this.draw();
  }

  // The height of all lanes together, in pixels.
  private get tall(): number {
    return this.lanes.length > 1 ? LANE * this.lanes.length : ONE_LANE;
  }

  draw(): void {
    const { canvas, tall } = this;
    const wide = this.root.clientWidth;
    if (!wide || !this.times.length) return;
    const density = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(wide * density)) canvas.width = Math.round(wide * density);
    if (canvas.height !== Math.round((tall + AXIS) * density)) canvas.height = Math.round((tall + AXIS) * density);
    canvas.style.height = `${tall + AXIS}px`;
    const context = canvas.getContext("2d") as CanvasRenderingContext2D;
    const style = getComputedStyle(this.root);
    const ink = style.color;
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, wide, tall + AXIS);
    context.font = `11px ${style.fontFamily}`;
    this.drawRange(context, ink);
    this.lanes.forEach((lane, n) => this.drawLane(context, ink, wide, lane, (n * tall) / this.lanes.length, tall / this.lanes.length));
    this.drawAxis(context, ink, wide);
    for (const note of this.notes) {
      const x = this.place(note.frame);
      context.fillStyle = "#e69f00";
      context.beginPath();
      context.moveTo(x - 5, 0);
      context.lineTo(x + 5, 0);
      context.lineTo(x, 9);
      context.fill();
    }
    const x = this.place(this.frame);
    context.fillStyle = ink;
    context.fillRect(x - 1, 0, 2, tall + 6);
    context.beginPath();
    context.arc(x, tall, 5, 0, 2 * Math.PI);
    context.fill();
  }

  // The x of a frame's middle, in pixels.
  private place(frame: number): number {
    const [from, to] = this.window;
    return ((frame + 0.5 - from) / (to - from)) * this.root.clientWidth;
  }

  private frameOf(event: { clientX: number }): number {
    const box = this.canvas.getBoundingClientRect();
    const [from, to] = this.window;
    const frame = Math.floor(from + ((event.clientX - box.left) / box.width) * (to - from));
    return Math.min(Math.max(frame, 0), this.frames - 1);
  }

  private drawRange(context: CanvasRenderingContext2D, ink: string): void {
    const [start, stop] = this.range;
    if (start <= 0 && stop >= this.frames - 1) return;
    const [left, right] = [this.place(start - 0.5), this.place(stop + 0.5)];
    context.globalAlpha = 0.12;
    context.fillStyle = ink;
    context.fillRect(left, 0, right - left, this.tall);
    context.globalAlpha = 1;
    context.fillRect(left - 1, 0, 2, this.tall);
    context.fillRect(right - 1, 0, 2, this.tall);
  }

  private drawLane(context: CanvasRenderingContext2D, ink: string, wide: number, lane: Ranged, top: number, tall: number): void {
    const { lines, title, unit, range } = lane;
    const [low, high] = range ?? [0, 1];
    const bottom = top + tall - 3;
    const height = (value: number) => bottom - ((value - low) / (high - low || 1)) * (tall - 22);
    const [from, to] = this.window;
    const stride = Math.max(1, Math.floor((to - from) / (2 * wide)));
    context.lineWidth = 1.5;
    for (const { values, colour, dash } of lines) {
      context.strokeStyle = COLOURS[colour % COLOURS.length];
      context.setLineDash(DASHES[dash % DASHES.length]);
      context.beginPath();
      let begun = false;
      for (let frame = Math.max(0, Math.floor(from) - 1); frame < Math.min(this.frames, to + 1); frame += stride) {
        const value = values[frame];
        if (!isKnown(value)) continue; // unknown values are bridged by the line
        if (begun) context.lineTo(this.place(frame), height(value));
        else context.moveTo(this.place(frame), height(value));
        begun = true;
      }
      context.stroke();
    }
    context.setLineDash([]);
    context.fillStyle = ink;
    context.textBaseline = "top";
    context.fillText(title, 8, top + 3);
    let x = context.measureText(title).width + 20;
    if (lines.length > 1 || lines[0]?.name)
      for (const { name, colour, dash } of lines) {
        context.strokeStyle = COLOURS[colour % COLOURS.length];
        context.lineWidth = 2;
        context.setLineDash(DASHES[dash % DASHES.length]);
        context.beginPath();
        context.moveTo(x, top + 8);
        context.lineTo(x + 20, top + 8);
        context.stroke();
        context.setLineDash([]);
        context.fillText(name, x + 24, top + 3);
        x += context.measureText(name).width + 40;
      }
    const text = range ? `${short(low)} to ${short(high)} ${unit}` : "not known yet";
    const length = context.measureText(text).width;
    if (x + length < wide) context.fillText(text, wide - length - 4, top + 3);
    if (top > 0) {
      context.globalAlpha = 0.25;
      context.fillRect(0, top, wide, 1);
      context.globalAlpha = 1;
    }
  }

  private drawAxis(context: CanvasRenderingContext2D, ink: string, wide: number): void {
    context.fillStyle = ink;
    context.globalAlpha = 0.5;
    const { tall } = this;
    context.fillRect(0, tall, wide, 1);
    context.globalAlpha = 1;
    context.textBaseline = "top";
    const [from, to] = this.window.map((frame) => Math.min(Math.max(Math.floor(frame), 0), this.frames - 1));
    const [begin, end] = [this.times[from], this.times[to]];
    const most = Math.max(2, wide / 90);
    const step = tickStep(Math.max(end - begin, 0.01), most);
    for (let time = Math.ceil(begin / step) * step; time <= end; time += step) {
      const x = this.place(frameAt(this.times, time + 1e-6));
      context.fillRect(x, tall, 1, 5);
      const text = clock(time).replace(/\.00(?= s|$)/, "");
      const left = Math.min(Math.max(x - context.measureText(text).width / 2, 2), wide - 60);
      context.fillText(text, left, tall + 6);
    }
    context.globalAlpha = 0.65;
    const stride = Math.max(1, tickStep(this.window[1] - this.window[0], most));
    for (let frame = Math.ceil(this.window[0] / stride) * stride; frame < this.window[1]; frame += stride) {
      const text = `${frame}`;
      const half = context.measureText(text).width / 2;
      const left = Math.max(this.place(frame) - half, 2);
      if (left + 2 * half < wide - 44) context.fillText(text, left, tall + 18);
    }
    const title = "frames";
    const room = context.measureText(title).width + 8;
    context.clearRect(wide - room, tall + 17, room, 13);
    context.fillText(title, wide - room + 6, tall + 18);
    context.globalAlpha = 1;
  }

  private press(event: PointerEvent): void {
    const scrub = event.offsetY >= this.tall - 8;
    this.canvas.setPointerCapture(event.pointerId);
    this.pressed = { x: event.clientX, frame: this.frameOf(event), scrub, moved: false };
    this.asked.go(this.pressed.frame);
  }

  private move(event: PointerEvent): void {
    const frame = this.frameOf(event);
    this.point(event, frame);
    const { pressed } = this;
    if (!pressed) return;
    if (Math.abs(event.clientX - pressed.x) > DRAGGED) pressed.moved = true;
    if (pressed.scrub) this.asked.go(frame);
    else if (pressed.moved) this.asked.choose(Math.min(frame, pressed.frame), Math.max(frame, pressed.frame));
  }

  private release(event: PointerEvent): void {
    this.canvas.releasePointerCapture(event.pointerId);
    this.pressed = null;
  }

  private point(event: PointerEvent, frame: number): void {
    const values = this.lanes.flatMap(({ title, lines }) =>
      lines.map(({ name, values: known }) => {
        const value = known[frame];
        return `${[title, name].filter(Boolean).join(", ")}: ${isKnown(value) ? short(value) : "not known"}`;
      }),
    );
    const note = this.notes.find((each) => each.frame === frame);
    const words = [`frame ${frame}, ${clock(this.times[frame] ?? 0)}`, ...values, ...(note ? [`“${note.text}”`] : [])];
    this.tip.textContent = words.join("\n");
    this.tip.hidden = false;
    const room = this.root.clientWidth - this.tip.offsetWidth;
    this.tip.style.left = `${Math.min(Math.max(event.offsetX + 12, 0), room)}px`;
  }

  private zoom(event: WheelEvent): void {
    if (!event.ctrlKey && !event.metaKey && !event.shiftKey) return; // else the notebook scrolls
    event.preventDefault();
    const [from, to] = this.window;
    const box = this.canvas.getBoundingClientRect();
    const part = (event.clientX - box.left) / box.width;
    const length = Math.min(Math.max((to - from) * 1.2 ** Math.sign(event.deltaY || event.deltaX), 8), this.frames);
    this.window = this.bounded(from + part * (to - from - length), length);
    this.draw();
  }

  private bounded(from: number, length: number): [number, number] {
    const start = Math.min(Math.max(from, 0), Math.max(this.frames - length, 0));
    return [start, start + length];
  }
}
