// The text around the picture: its caption, the colour bar, and the values of the maps under the pointer.

import { h } from "./dom";
import type { Scene } from "./scene";
import { clock, short } from "./times";
import type { FrameMap, Point, Settings } from "./types";

const NOTHING = 1e-4; // of the scale's range: smaller values are written as 0

export class Legend {
  readonly caption = h("div", { class: "tinyhd-caption" });
  readonly bar = h("div", { class: "tinyhd-bar", "aria-hidden": "true" });
  readonly reading = h("div", { class: "tinyhd-reading" });
  pointer: Point | null = null; // in fractions of the frame's width and height

  constructor(private scene: Scene) {}

  // A description of the picture for screen readers.
  label({ normalise }: Settings): string {
    return `${this.caption.textContent}; ${normalise}: ${this.scene.meta.scales[normalise]}`;
  }

  show(now: Settings, frame: number, time: number): void {
    const map = this.scene.parts.map(now.source, frame) ?? null;
    const what: Record<string, string> = {
      wipe: `left ${now.source}, right ${now.other}`,
      difference: `${now.source} more (orange, +) or less (purple, -) than ${now.other}`,
      grid: this.scene.meta.sources.join(", "),
    };
    const missing = map ? "" : "; no map of this frame";
    this.caption.textContent = `frame ${frame}, ${clock(time)}; ${now.view}: ${what[now.view] ?? now.source}${missing}`;
    this.showBar(now, map);
    this.read(now, frame);
  }

  read(now: Settings, frame: number): void {
    const { pointer, scene } = this;
    if (!pointer) {
      this.reading.textContent = "point at the picture to read the map";
      return;
    }
    const [x, y] = pointer;
    const at = (part: number, length: number) => Math.min(Math.floor(part * length), length - 1);
    const [width, height] = scene.meta.size;
    const sources = scene.sources(now);
    const values = sources.map((name) => {
      const map = scene.parts.map(name, frame);
      if (!map) return `${name}: no map`;
      const level = map.levels[at(y, map.rows) * map.columns + at(x, map.columns)];
      const value = map.low + (level / 255) * (map.high - map.low);
      const below = map.levels.reduce((count, each) => count + Number(each <= level), 0);
      return `${sources.length > 1 ? `${name} ` : ""}${value < 0.01 ? value.toExponential(2) : value.toPrecision(3)}, percentile ${((100 * below) / map.levels.length).toFixed(1)}`;
    });
    this.reading.textContent = `x ${at(x, width)}, y ${at(y, height)}: ${values.join("; ")} of the frame`;
  }

  private showBar(now: Settings, map: FrameMap | null): void {
    const { scene, bar } = this;
    const isDifference = now.view === "difference";
    const [low, high] = scene.scale(now.source, now.normalise) ?? [map?.low ?? 0, map?.high ?? 1];
    const table = isDifference ? scene.diverging : scene.table(now.colormap);
    const tick = (value: number) => short(Math.abs(value) < NOTHING * (high - low) ? 0 : value);
    const ticks = isDifference ? ["less", "equal", "more"] : [low, (low + high) / 2, high].map(tick);
    const stops = Array.from({ length: 17 }, (_, n) => Math.min(16 * n, 255)).map(
      (at) => `rgb(${[0, 1, 2].map((each) => table?.[3 * at + each]).join(" ")})`,
    );
    bar.style.setProperty("--ramp", `linear-gradient(to right, ${stops.join(", ")})`);
    bar.title = scene.meta.scales[now.normalise];
    bar.replaceChildren(...ticks.map((each) => h("span", {}, each)));
  }
}
