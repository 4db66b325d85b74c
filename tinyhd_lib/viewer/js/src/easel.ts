// The canvases over the video: the picture, its tiles in the grid view, and the marks.

import { Canvas } from "./canvas";
import { extremes, Marks } from "./marks";
import { Painter } from "./painter";
import { type Draws, type Picture, scaled } from "./picture";
import type { Outline } from "./regions";
import type { Scene } from "./scene";
import { layout, Tiles } from "./tiles";
import type { Settings } from "./types";

export class Easel {
  readonly marks = new Marks(document.createElement("canvas"));
  private draws: Draws;
  private tiles = new Tiles();

  constructor(
    private scene: Scene,
    slower: (text: string) => void,
  ) {
    try {
      this.draws = new Painter(document.createElement("canvas"));
    } catch {
      slower("no WebGL in this browser: drawn on the processor, slower");
      this.draws = new Canvas(document.createElement("canvas"));
    }
  }

  get kind(): string {
    return this.draws.kind;
  }

  get canvases(): HTMLCanvasElement[] {
    return [this.draws.canvas, this.tiles.canvas, this.marks.canvas];
  }

  // How many columns and rows of frames the picture has.
  cells(view: string): [columns: number, rows: number] {
    if (view === "side-by-side") return [2, 1];
    const [width, height] = this.scene.meta.size;
    return view === "grid" ? layout(this.scene.meta.sources.length, width / height) : [1, 1];
  }

  // The canvas that holds everything but the marks.
  canvas(view: string): HTMLCanvasElement {
    return view === "grid" ? this.tiles.canvas : this.draws.canvas;
  }

  // Draw a frame at this size; `quick` if the video plays below the canvas and shows through.
  draw(settings: Settings, frame: number, image: CanvasImageSource, size: [number, number], quick: boolean, outlines: Outline[]): void {
    const { scene } = this;
    const { view, source, other } = settings;
    const [columns, rows] = this.cells(view);
    const [width, height] = size;
    this.canvases[0].hidden = view === "grid";
    this.canvases[1].hidden = view !== "grid";
    if (view === "grid") {
      this.tiles.size(columns * width, rows * height);
      scene.meta.sources.forEach((name, n) => {
        this.draws.draw(this.picture(settings, frame, image, [width, height], false, "overlay", name, name));
        this.tiles.put(this.draws.canvas, (n % columns) * width, Math.floor(n / columns) * height, name);
      });
    } else this.draws.draw(this.picture(settings, frame, image, size, quick, view, source, other));
    const [across, down] = quick ? size.map((side) => 2 * side) : size;
    this.marks.clear(columns * across, rows * down);
    const names = view === "grid" ? scene.meta.sources : [source];
    for (let n = 0; n < (view === "grid" ? names.length : columns); n++) {
      this.marks.within((n % columns) * across, Math.floor(n / columns) * down, across, down);
      this.mark(settings, frame, names[n % names.length], outlines, n === 0);
    }
  }

  // The picture and the marks on one canvas.
  flattened(view: string): HTMLCanvasElement {
    const sheet = document.createElement("canvas");
    const picture = this.canvas(view);
    [sheet.width, sheet.height] = [picture.width, picture.height];
    const context = sheet.getContext("2d", { alpha: false }) as CanvasRenderingContext2D;
    context.drawImage(picture, 0, 0);
    context.drawImage(this.marks.canvas, 0, 0, sheet.width, sheet.height);
    return sheet;
  }

  dispose(): void {
    this.draws.dispose();
  }

  private picture(
    settings: Settings,
    frame: number,
    image: CanvasImageSource,
    [width, height]: [number, number],
    quick: boolean,
    view: string,
    source: string,
    other: string,
  ): Picture {
    const { scene } = this;
    const shown = (name: string) => scaled(scene.parts.map(name, frame), scene.scale(name, settings.normalise));
    const isTwo = view !== "grid" && scene.meta.comparing.includes(view);
    return {
      image,
      width,
      height,
      view,
      first: shown(source),
      second: isTwo ? shown(other) : scaled(null, null),
      alpha: settings.alpha,
      floor: settings.floor,
      border: settings.border,
      quick,
      colours: scene.table(settings.colormap) as Uint8Array,
      diverging: scene.diverging as Uint8Array,
    };
  }

  private mark(settings: Settings, frame: number, source: string, outlines: Outline[], isFirst: boolean): void {
    const { marks, scene } = this;
    for (const outline of outlines) marks.region(outline);
    const [first, second] = [source, settings.other].map((name) => scene.parts.map(name, frame));
    if (settings.points) {
      const { points, span } = scene.gaze(settings, frame);
      marks.gaze(points, frame, span);
    }
    if (settings.peak && first && first.high > first.low) marks.cross(...first.peak);
    if (settings.view === "difference" && isFirst && first && second)
      for (const { sign, x, y } of extremes(first, second)) marks.sign(sign, x, y);
  }
}
