// The viewer: a picture, its caption, what plays it, the axis of time, and a drawer of settings.

import { Canvas } from "./canvas";
import { button, choice, fraction, h, icon, toggle } from "./dom";
import type { Host } from "./host";
import { extremes, Marks, pointsOf } from "./marks";
import { Painter } from "./painter";
import { Parts } from "./parts";
import { type Draws, scaled } from "./picture";
import { Player } from "./player";
import { type Line, Timeline } from "./timeline";
import { clock, short } from "./times";
import type { FrameMap, Meta, Note, Settings } from "./types";

const FAR = 16; // frames of a long step
const MOST_ZOOMED = 8;
const SELDOM = 80; // milliseconds between two looks of what is beside the picture, while it plays
const KEYS: [string, string][] = [
  ["space", "play, pause"],
  ["← →", "a frame back, on"],
  ["↓ ↑", "16 frames back, on"],
  ["Home End", "the first frame, the last"],
  ["[ ]", "opacity"],
  ["l", "loop"],
  ["n", "note at this frame"],
  ["+ - 0", "zoom in, out, not at all"],
  ["f", "full screen"],
  ["s", "save the frame as a PNG"],
  ["?", "show or hide this"],
];

export class Viewer {
  readonly player: Player;
  readonly parts: Parts;
  private meta: Meta;
  private now: Settings;
  private frame = -1; // on the screen
  private image: CanvasImageSource | null = null;
  private draws: Draws;
  private marks: Marks;
  private timeline: Timeline;
  private colours = new Map<string, Uint8Array>();
  private bounds = new Map<string, [number, number]>();
  private lines: Line[] = [];
  private zoomed = { scale: 1, x: 0.5, y: 0.5 };
  private pointer: [number, number] | null = null;
  private told = "";
  private gone = false;
  private scheduled = false;
  private noted: Note[] = []; // those that are listed
  private toldAt = 0;
  private watching: ResizeObserver;

  private root: HTMLElement;
  private stage: HTMLElement;
  private sheet: HTMLElement;
  private caption = h("div", { class: "tinyhd-caption" });
  private reading = h("div", { class: "tinyhd-reading" });
  private status = h("div", { class: "tinyhd-status", role: "status", "aria-live": "polite" });
  private bar = h("div", { class: "tinyhd-bar", "aria-hidden": "true" });
  private thumbs = h("div", { class: "tinyhd-thumbs" });
  private notes = h("ul", { class: "tinyhd-notes" });
  private progress = h("progress", { hidden: true });
  private drawer = h("div", { class: "tinyhd-drawer", hidden: true });
  private help = h("div", { class: "tinyhd-help", hidden: true });
  private views: HTMLButtonElement[] = [];
  private playButton: HTMLButtonElement;
  private loopButton: HTMLButtonElement;
  private jump: HTMLInputElement;
  private controls: Record<string, (settings: Settings) => void> = {};

  constructor(
    el: HTMLElement,
    private host: Host,
  ) {
    this.meta = host.meta;
    this.now = host.settings();
    this.parts = new Parts(host);
    this.draws = this.drawing();
    this.marks = new Marks(document.createElement("canvas"));
    this.timeline = new Timeline(this.meta.frames, {
      go: (frame) => this.go(frame),
      choose: (start, stop) => this.change({ start, stop }),
    });
    this.player = new Player(this.parts, this.meta, {
      frame: (index, image) => this.onFrame(index, image),
      playing: (playing) => this.change({ playing }),
      trouble: (text) => this.tell(text),
    });
    this.playButton = button("play", "Play (space)", () => this.change({ playing: !this.now.playing }));
    this.loopButton = button("loop", "Begin again at the end (l)", () => this.change({ loop: !this.now.loop }));
    this.jump = h("input", {
      type: "number",
      min: "0",
      max: String(this.meta.frames - 1),
      "aria-label": "Go to frame",
      title: "Go to frame",
      change: () => this.go(Number(this.jump.value)),
    });
    this.draws.canvas.setAttribute("role", "img");
    this.sheet = h("div", { class: "tinyhd-sheet" }, this.player.video, this.draws.canvas, this.marks.canvas);
    this.stage = h("div", { class: "tinyhd-stage" }, this.sheet);
    this.root = h(
      "div",
      { class: "tinyhd-viewer", tabindex: "0", role: "group", "aria-label": "Video with its saliency map" },
      this.toolbar(),
      this.stage,
      h("div", { class: "tinyhd-under" }, this.caption, this.bar),
      this.reading,
      this.transport(),
      this.timeline.root,
      this.thumbs,
      this.notes,
      this.drawer,
      this.help,
      h("div", { class: "tinyhd-told" }, this.status, this.progress),
    );
    this.root.dataset.lmSuppressShortcuts = "true"; // else JupyterLab takes "1" for a heading, and "x" cuts the cell
    this.fillDrawer();
    this.fillHelp();
    el.append(this.root);
    this.listen();
    this.watching = new ResizeObserver(() => this.resized());
    this.watching.observe(this.root);
    host.observe(() => this.follow());
    host.listen((what) => {
      if (what.said !== undefined) this.tell(what.said);
      if (what.progress) this.tellProgress(...what.progress);
      if (what.ready) void this.openVideo();
    });
    void this.begin();
  }

  dispose(): void {
    this.gone = true;
    this.player.dispose();
    this.draws.dispose();
    this.watching.disconnect();
  }

  // What is on the picture now, as it is drawn.
  get canvas(): HTMLCanvasElement {
    return this.draws.canvas;
  }

  change(change: Partial<Settings>): void {
    const before = this.now;
    this.now = { ...before, ...change };
    const playing = this.now.playing && before.playing && Object.keys(change).every((name) => name === "frame");
    this.host.set(change, !playing);
    this.apply(before);
  }

  go(frame: number): void {
    if (Number.isFinite(frame)) this.change({ frame: Math.min(Math.max(Math.round(frame), 0), this.meta.frames - 1) });
  }

  private async begin(): Promise<void> {
    try {
      await this.player.begin();
      this.timeline.times = this.player.times;
      this.player.seek(this.now.frame);
      this.apply(null);
      await this.openVideo();
    } catch (error) {
      this.tell((error as Error).message);
    }
  }

  private async openVideo(): Promise<void> {
    try {
      await this.player.open();
    } catch (error) {
      if (this.host.live) this.tell((error as Error).message);
    }
  }

  private drawing(): Draws {
    try {
      return new Painter(document.createElement("canvas"));
    } catch {
      this.tell("no WebGL in this browser: drawn on the processor, slower");
      return new Canvas(document.createElement("canvas"));
    }
  }

  // Settings that came from elsewhere.
  private follow(): void {
    const before = this.now;
    const next = this.host.settings();
    if (JSON.stringify(before) === JSON.stringify(next)) return;
    // While it plays, the kernel's frame is an echo of ours.
    if (before.playing && next.playing && Math.abs(next.frame - this.frame) < 3 * this.meta.chunk) next.frame = before.frame;
    this.now = next;
    this.apply(before);
  }

  private apply(before: Settings | null): void {
    const { now, player } = this;
    player.loop = now.loop;
    player.range = [Math.max(now.start, 0), now.stop < 0 ? this.meta.frames - 1 : now.stop];
    if (!before || now.speed !== before.speed) player.setSpeed(now.speed);
    if (now.playing !== player.playing) {
      if (now.playing) player.play();
      else player.pause();
    }
    if (now.frame !== this.frame && (!now.playing || now.frame !== before?.frame)) player.seek(now.frame);
    if (!before || ["strip", "source", "other", "view"].some((name) => now[name as keyof Settings] !== before[name as keyof Settings]))
      void this.showTraces();
    this.sync();
    if (now.frame === this.frame || now.playing) void this.fetch().then(() => this.soon()); // else the frame that comes is painted
  }

  // Paint before the browser shows the next picture, once for all that changed until then.
  private soon(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => {
      this.scheduled = false;
      this.paint();
    });
  }

  private onFrame(frame: number, image: CanvasImageSource): void {
    this.image = image;
    this.frame = frame;
    if (this.now.playing && frame !== this.now.frame) {
      this.now = { ...this.now, frame };
      this.host.set({ frame }, false);
    }
    if (this.isHere(frame)) this.paint();
    else void this.fetch().then(() => this.frame === frame && this.soon());
    if (frame % this.meta.chunk === 0 || !this.now.playing) void this.fetchAhead();
  }

  // Map sources that are on the picture.
  private get sources(): string[] {
    return this.isComparing ? [this.now.source, this.now.other] : [this.now.source];
  }

  private get isComparing(): boolean {
    return this.meta.comparing.includes(this.now.view);
  }

  private isHere(frame: number): boolean {
    return this.colours.has(this.now.colormap) && this.sources.every((name) => this.parts.map(name, frame) !== undefined);
  }

  private async fetch(): Promise<void> {
    if (this.frame < 0) return;
    const chunk = this.parts.chunkOf(this.frame);
    const { normalise, colormap, points } = this.now;
    const wanted: Promise<unknown>[] = this.sources.map((name) => this.parts.needMaps(name, chunk));
    for (const name of [colormap, "PuOr_r"]) if (!this.colours.has(name)) wanted.push(this.needColours(name));
    if (normalise !== "frame")
      for (const name of this.sources) if (!this.bounds.has(name)) wanted.push(this.needBounds(name));
    if (points)
      for (const name of this.meta.gaze)
        for (const each of [chunk - 1, chunk]) if (each >= 0) wanted.push(this.parts.needPoints(name, each));
    try {
      await Promise.all(wanted);
    } catch (error) {
      this.tell((error as Error).message);
    }
  }

  private async fetchAhead(): Promise<void> {
    const next = this.parts.chunkOf(this.frame) + 1;
    if (next * this.meta.chunk >= this.meta.frames) return;
    await Promise.allSettled([
      ...this.sources.map((name) => this.parts.needMaps(name, next)),
      ...(this.now.points ? this.meta.gaze.map((name) => this.parts.needPoints(name, next)) : []),
      this.player.need(next),
    ]);
  }

  private async needColours(name: string): Promise<void> {
    this.colours.set(name, new Uint8Array(await this.parts.bytes(["colours", name, 0])));
  }

  private async needBounds(name: string): Promise<void> {
    const [low, high] = new Float64Array(await this.parts.bytes(["bounds", name, 0]));
    this.bounds.set(name, [low, high]);
  }

  // What is black and what is white; null for each frame's own extremes.
  private scale(name: string): [number, number] | null {
    const known = this.bounds.get(name);
    if (this.now.normalise === "frame" || !known) return null;
    return this.now.normalise === "raw" ? [0, known[1]] : known;
  }

  private paint(quick = this.now.playing && this.player.isVideo && this.draws.kind === "WebGL"): void {
    const colours = this.colours.get(this.now.colormap);
    const diverging = this.colours.get("PuOr_r");
    if (!this.image || !colours || !diverging || this.gone) return;
    const { now, frame } = this;
    const first = this.parts.map(now.source, frame);
    const second = this.isComparing ? this.parts.map(now.other, frame) : null;
    const [width, height] = this.size(quick);
    this.draws.draw({
      image: this.image,
      width,
      height,
      view: now.view,
      first: scaled(first, this.scale(now.source)),
      second: scaled(second, this.scale(now.other)),
      alpha: now.alpha,
      floor: now.floor,
      border: now.border,
      quick,
      colours,
      diverging,
    });
    this.mark(first ?? null, second ?? null, this.size(false)[0]);
    this.describe(first ?? null);
    if (quick && performance.now() - this.toldAt < SELDOM) return; // the pictures come first
    this.toldAt = performance.now();
    this.showScale(first ?? null, colours);
    this.read();
    this.timeline.update(frame, now.notes, this.player.range);
    if (document.activeElement !== this.jump) this.jump.value = String(frame);
  }

  private fullSize(): [number, number] {
    const [width, height] = this.size(false);
    return [this.now.view === "side-by-side" ? 2 * width : width, height];
  }

  private mark(first: FrameMap | null, second: FrameMap | null, width: number): void {
    const { now, marks, frame } = this;
    marks.clear(...this.fullSize());
    if (now.points) {
      const chunk = this.parts.chunkOf(frame);
      const span = Math.round((now.trail * this.meta.frames) / this.meta.duration);
      const chunks = this.meta.gaze.flatMap((name) => [this.parts.points(name, chunk - 1), this.parts.points(name, chunk)]);
      marks.gaze(pointsOf(chunks, frame - span, frame), frame, span, width);
    }
    if (now.peak && first && first.high > first.low) marks.cross(...first.peak, width);
    if (now.view === "difference" && first && second)
      for (const { sign, x, y } of extremes(first, second)) marks.sign(sign, x, y, width);
  }

  // The size that the picture is drawn at: no finer than the screen shows it, unless it is looked at closely; half as
  // fine where only what is smooth is laid over the video that plays.
  private size(quick: boolean): [number, number] {
    const finest = quick && this.now.view !== "contours" ? 2 : 1;
    const [width, height] = this.meta.size.map((side) => side / finest);
    const seen = (this.stage.clientWidth * (window.devicePixelRatio || 1) * this.zoomed.scale) / finest;
    const across = Math.min(width, Math.max(320 / finest, this.now.view === "side-by-side" ? seen / 2 : seen));
    return [Math.round(across), Math.round((height * across) / width)];
  }

  private describe(first: FrameMap | null): void {
    const { now, frame } = this;
    const what: Record<string, string> = {
      wipe: `left ${now.source}, right ${now.other}`,
      difference: `${now.source} more (orange, +) or less (purple, -) than ${now.other}`,
    };
    const missing = first ? "" : "; no map of this frame";
    const time = clock(this.player.times[frame] ?? 0);
    const caption = `frame ${frame}, ${time}; ${now.view}: ${what[now.view] ?? now.source}${missing}`;
    this.caption.textContent = caption;
    this.draws.canvas.setAttribute("aria-label", `${caption}; ${now.normalise}: ${this.meta.scales[now.normalise]}`);
  }

  private showScale(first: FrameMap | null, colours: Uint8Array): void {
    const { now } = this;
    const [low, high] = this.scale(now.source) ?? [first?.low ?? 0, first?.high ?? 1];
    const table = now.view === "difference" ? this.colours.get("PuOr_r") : colours;
    const ticks = now.view === "difference" ? ["less", "equal", "more"] : [low, (low + high) / 2, high].map((each) => short(each));
    const stops = Array.from({ length: 17 }, (_, n) => Math.min(16 * n, 255)).map(
      (at) => `rgb(${[0, 1, 2].map((each) => table?.[3 * at + each]).join(" ")})`,
    );
    this.bar.style.setProperty("--ramp", `linear-gradient(to right, ${stops.join(", ")})`);
    this.bar.title = this.meta.scales[now.normalise];
    this.bar.replaceChildren(...ticks.map((tick) => h("span", {}, tick)));
  }

  // Say what the maps hold where the pointer is.
  private read(): void {
    if (!this.pointer) {
      this.reading.textContent = "point at the picture to read the map";
      return;
    }
    const [x, y] = this.pointer;
    const [width, height] = this.meta.size;
    const places = `x ${Math.min(Math.floor(x * width), width - 1)}, y ${Math.min(Math.floor(y * height), height - 1)}`;
    const values = this.sources.map((name) => {
      const map = this.parts.map(name, this.frame);
      if (!map) return `${name}: no map`;
      const level = map.levels[Math.min(Math.floor(y * map.rows), map.rows - 1) * map.columns + Math.min(Math.floor(x * map.columns), map.columns - 1)];
      const value = map.low + (level / 255) * (map.high - map.low);
      const below = map.levels.reduce((count, each) => count + Number(each <= level), 0);
      const name_ = this.sources.length > 1 ? `${name} ` : "";
      return `${name_}${value.toPrecision(4)}, percentile ${((100 * below) / map.levels.length).toFixed(1)}`;
    });
    this.reading.textContent = `${places}: ${values.join("; ")} of the frame`;
  }

  private async showTraces(): Promise<void> {
    const { strip, source, other } = this.now;
    const several = this.isComparing || this.now.view === "side-by-side" ? [...new Set([source, other])] : [source];
    const names = this.meta.shared.includes(strip) ? [""] : several;
    const found: Line[] = [];
    for (const name of names) {
      try {
        found.push({ name: name ? `${strip}, ${name}` : strip, trace: await this.parts.trace(strip, name) });
      } catch (error) {
        if (this.host.live) this.tell((error as Error).message);
      }
      if (this.now.strip !== strip || this.now.source !== source) return;
    }
    this.lines = found;
    this.timeline.show(this.lines);
    this.showThumbs();
  }

  private showThumbs(): void {
    const trace = this.lines[0]?.trace;
    this.thumbs.replaceChildren();
    if (!trace) return;
    const apart: [string, number[]][] = [
      ["highest", trace.highest.slice(0, 4)],
      ["lowest", trace.lowest.slice(0, 4)],
    ];
    for (const [word, frames] of apart)
      for (const frame of frames) {
        const value = trace.values[frame];
        const image = h("img", { alt: "", width: "96" });
        const label = `${word}: ${value === null ? "" : short(value)} at ${frame}`;
        this.thumbs.append(
          h("button", { type: "button", title: `Go to frame ${frame}`, click: () => this.go(frame) }, image, h("span", {}, label)),
        );
        void this.parts.keep(["thumb", "", frame]).then(
          (bytes) => (image.src = URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }))),
          () => image.remove(),
        );
        image.onload = () => URL.revokeObjectURL(image.src);
      }
  }

  private toolbar(): HTMLElement {
    const views = h("div", { class: "tinyhd-views", role: "group", "aria-label": "View" });
    this.meta.views.forEach((view, n) => {
      const comparing = this.meta.comparing.includes(view);
      const lone = comparing && this.meta.sources.length < 2;
      const title = lone ? "needs a second map: maps={name: ..., name: ...}" : `${view} (key ${n + 1})`;
      const each = h("button", { type: "button", title, disabled: lone, click: () => this.change({ view }) }, view);
      this.views.push(each);
      views.append(each);
    });
    const source = choice("map", "Which map is shown", this.meta.sources, (value) => this.change({ source: value }));
    const other = choice("against", "Which map wipe and difference hold it against", this.meta.sources, (value) =>
      this.change({ other: value }),
    );
    this.controls.source = (now) => (source.select.value = now.source);
    this.controls.other = (now) => {
      other.select.value = now.other;
      other.root.hidden = this.meta.sources.length < 2;
    };
    return h(
      "div",
      { class: "tinyhd-toolbar" },
      views,
      source.root,
      other.root,
      h("span", { class: "tinyhd-space" }),
      button("note", "Note at this frame (n)", () => this.note()),
      button("save", "Save the frame as a PNG (s)", () => this.save()),
      button("settings", "Settings", () => (this.drawer.hidden = !this.drawer.hidden)),
      button("full", "Full screen (f)", () => this.full()),
      button("help", "Keys (?)", () => (this.help.hidden = !this.help.hidden)),
    );
  }

  private transport(): HTMLElement {
    const speed = choice("speed", "Times the video's own speed", this.meta.speeds.map(String), (value) =>
      this.change({ speed: Number(value) }),
    );
    this.controls.speed = (now) => (speed.select.value = String(now.speed));
    const step = (by: number) => () => this.go(this.frame + by);
    return h(
      "div",
      { class: "tinyhd-transport" },
      button("far_back", "16 frames back (↓)", step(-FAR)),
      button("back", "A frame back (←)", step(-1)),
      this.playButton,
      button("on", "A frame on (→)", step(1)),
      button("far_on", "16 frames on (↑)", step(FAR)),
      this.jump,
      h("span", { class: "tinyhd-of" }, `of ${this.meta.frames}`),
      speed.root,
      this.loopButton,
      h("span", { class: "tinyhd-range" }),
    );
  }

  private fillDrawer(): void {
    const { meta } = this;
    const alpha = fraction("opacity", "Opacity of what is most salient ([ and ])", 1, (value) => this.change({ alpha: value }));
    const floor = fraction("floor", "Below this part of white nothing is laid over", 0.95, (value) => this.change({ floor: value }));
    const scale = choice("scale", "What is black and white", Object.keys(meta.scales), (value) => this.change({ normalise: value }));
    const colours = choice("colours", "Colour map", meta.colormaps, (value) => this.change({ colormap: value }));
    const strip = choice("over time", "What the timeline shows", meta.strips, (value) => this.change({ strip: value }));
    const points = toggle("gaze points", "Ring every place where somebody looked", (on) => this.change({ points: on }));
    const trail = choice("trail", "How long a gaze's way stays, in seconds", ["0", "0.5", "1", "2"], (value) =>
      this.change({ trail: Number(value), points: true }),
    );
    const peak = toggle("peak", "Mark the most salient pixel with a cross", (on) => this.change({ peak: on }));
    Object.assign(this.controls, {
      alpha: (now: Settings) => ([alpha.input.value, alpha.output.value] = [String(now.alpha), now.alpha.toFixed(2)]),
      floor: (now: Settings) => ([floor.input.value, floor.output.value] = [String(now.floor), now.floor.toFixed(2)]),
      normalise: (now: Settings) => (scale.select.value = now.normalise),
      colormap: (now: Settings) => (colours.select.value = now.colormap),
      strip: (now: Settings) => (strip.select.value = now.strip),
      points: (now: Settings) => (points.input.checked = now.points),
      trail: (now: Settings) => (trail.select.value = String(now.trail)),
      peak: (now: Settings) => (peak.input.checked = now.peak),
    });
    points.root.hidden = trail.root.hidden = !meta.gaze.length;
    this.drawer.append(alpha.root, floor.root, scale.root, colours.root, strip.root, points.root, trail.root, peak.root);
    if (!this.host.live) return;
    const files: [string, string, string][] = [
      ["mp4", "Save the range as it is shown", "save_video"],
      ["JSON", "Save the view, to open it again with SaliencyViewer.from_state", "save_state"],
      ["HTML", "Save a page that opens anywhere, without Python", "save_html"],
    ];
    for (const [word, title, name] of files)
      this.drawer.append(h("button", { type: "button", title, click: () => this.host.act(name) }, icon("save"), ` ${word}`));
  }

  private fillHelp(): void {
    const { views } = this.meta;
    const rows = [...KEYS, [`1 ... ${views.length}`, views.join(", ")]].map(([key, what]) => h("tr", {}, h("td", {}, h("kbd", {}, key)), h("td", {}, what)));
    this.help.append(h("table", {}, h("caption", {}, "Keys, while the viewer has the focus"), ...rows));
    const more = "Drag on the timeline to choose a range, twice click to let it go; shift and wheel zoom in time, control and wheel in the picture.";
    this.help.append(h("p", {}, more));
  }

  private sync(): void {
    const { now } = this;
    for (const control of Object.values(this.controls)) control(now);
    this.views.forEach((each, n) => each.setAttribute("aria-pressed", String(this.meta.views[n] === now.view)));
    this.playButton.replaceChildren(icon(now.playing ? "pause" : "play"));
    this.playButton.setAttribute("aria-label", now.playing ? "Pause (space)" : "Play (space)");
    this.loopButton.setAttribute("aria-pressed", String(now.loop));
    const range = this.root.querySelector(".tinyhd-range");
    if (range) range.textContent = now.stop < 0 ? "" : `frames ${now.start} to ${now.stop}`;
    if (this.noted !== now.notes) this.listNotes();
    this.stage.dataset.view = now.view;
    this.stage.style.setProperty("--shape", String((this.meta.size[0] * (now.view === "side-by-side" ? 2 : 1)) / this.meta.size[1]));
  }

  private listNotes(): void {
    const { now } = this;
    this.noted = now.notes;
    this.notes.replaceChildren(
      ...now.notes.map((note, n) =>
        h(
          "li",
          {},
          h("button", { type: "button", title: "Go there", click: () => this.go(note.frame) }, `${note.frame}`),
          ` ${note.text} `,
          h("button", { type: "button", "aria-label": `Drop the note at ${note.frame}`, title: "Drop this note", click: () => this.change({ notes: now.notes.filter((_, at) => at !== n) }) }, "×"),
        ),
      ),
    );
  }

  private note(): void {
    const field = h("input", { type: "text", placeholder: "what is seen here", "aria-label": "Note" });
    const frame = Math.max(this.frame, 0);
    const line = h("li", {}, `${frame} `, field);
    this.notes.append(line);
    field.focus();
    field.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Escape") line.remove();
      if (event.key !== "Enter") return;
      const notes = [...this.now.notes, { frame, text: field.value.trim() }].filter((each) => each.text);
      line.remove();
      this.change({ notes: notes.sort((a, b) => a.frame - b.frame) });
      this.root.focus();
    });
  }

  private save(): void {
    if (this.host.live) {
      this.host.act("save_frame");
      return;
    }
    this.paint(false);
    const sheet = document.createElement("canvas");
    [sheet.width, sheet.height] = [this.canvas.width, this.canvas.height];
    const context = sheet.getContext("2d") as CanvasRenderingContext2D;
    context.drawImage(this.canvas, 0, 0);
    context.drawImage(this.marks.canvas, 0, 0);
    h("a", { href: sheet.toDataURL(), download: `${this.meta.name}_${this.frame}.png` }).click();
  }

  private full(): void {
    if (document.fullscreenElement) void document.exitFullscreen();
    else void this.root.requestFullscreen?.();
  }

  private tell(text: string): void {
    this.told = text;
    this.status.textContent = text;
  }

  private tellProgress(what: string, done: number, total: number): void {
    this.progress.hidden = done >= total;
    this.progress.max = total;
    this.progress.value = done;
    if (done < total) this.tell(`${what}: ${Math.floor((100 * done) / total)} %`);
    else if (this.told.startsWith(what)) this.tell("");
  }

  private listen(): void {
    this.root.addEventListener("keydown", (event) => this.onKey(event));
    const { stage } = this;
    stage.addEventListener("pointerdown", (event) => {
      this.root.focus({ preventScroll: true });
      stage.setPointerCapture(event.pointerId);
      this.press(event);
    });
    stage.addEventListener("pointermove", (event) => {
      if (event.buttons && this.zoomed.scale > 1 && this.now.view !== "wipe") this.pan(event.movementX, event.movementY);
      else if (event.buttons) this.press(event);
      this.pointer = this.placeOf(event);
      this.read();
    });
    stage.addEventListener("pointerleave", () => {
      this.pointer = null;
      this.read();
    });
    stage.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey && !event.metaKey) return; // else the notebook scrolls; a pinch comes with control
        event.preventDefault();
        this.zoom(1.15 ** -Math.sign(event.deltaY), this.onSheet(event));
      },
      { passive: false },
    );
  }

  private press(event: PointerEvent): void {
    if (this.now.view === "wipe") this.change({ border: this.placeOf(event)[0] });
  }

  // Where the pointer is on the picture, in parts of its width and height.
  private onSheet(event: MouseEvent): [number, number] {
    const box = this.draws.canvas.getBoundingClientRect();
    const within = (value: number) => Math.min(Math.max(value, 0), 1);
    return [within((event.clientX - box.left) / box.width), within((event.clientY - box.top) / box.height)];
  }

  private placeOf(event: MouseEvent): [number, number] {
    const [x, y] = this.onSheet(event);
    return [this.now.view === "side-by-side" ? (2 * x) % 1 : x, y];
  }

  private zoom(factor: number, [x, y]: [number, number]): void {
    const before = this.zoomed.scale;
    const scale = Math.min(Math.max(before * factor, 1), MOST_ZOOMED);
    const follow = (middle: number, place: number) => place + ((middle - place) * before) / scale;
    this.zoomed = { scale, x: follow(this.zoomed.x, x), y: follow(this.zoomed.y, y) };
    this.place();
    this.soon();
  }

  private pan(x: number, y: number): void {
    const { scale } = this.zoomed;
    this.zoomed.x -= x / (scale * this.stage.clientWidth);
    this.zoomed.y -= y / (scale * this.stage.clientHeight);
    this.place();
  }

  private place(): void {
    const { scale } = this.zoomed;
    const bounded = (middle: number) => Math.min(Math.max(middle, 0.5 / scale), 1 - 0.5 / scale);
    [this.zoomed.x, this.zoomed.y] = [bounded(this.zoomed.x), bounded(this.zoomed.y)];
    const shift = (middle: number) => `${100 * (0.5 - middle) * scale}%`;
    this.sheet.style.transform = `translate(${shift(this.zoomed.x)}, ${shift(this.zoomed.y)}) scale(${scale})`;
  }

  private resized(): void {
    this.soon();
    this.timeline.draw();
  }

  private onKey(event: KeyboardEvent): void {
    const typing = event.target instanceof HTMLInputElement && ["text", "number"].includes(event.target.type);
    if (event.ctrlKey || event.metaKey || event.altKey || typing) return;
    if (event.target instanceof HTMLSelectElement && event.key.startsWith("Arrow")) return;
    const done = this.act(event.key);
    if (!done) return;
    event.preventDefault();
    event.stopPropagation();
  }

  private act(key: string): boolean {
    const { now, meta } = this;
    const middle: [number, number] = [this.zoomed.x, this.zoomed.y];
    const steps: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -FAR, ArrowUp: FAR };
    const actions: Record<string, () => void> = {
      " ": () => this.change({ playing: !now.playing }),
      Home: () => this.go(0),
      End: () => this.go(meta.frames - 1),
      "[": () => this.change({ alpha: Math.max(Math.round(10 * now.alpha - 1) / 10, 0) }),
      "]": () => this.change({ alpha: Math.min(Math.round(10 * now.alpha + 1) / 10, 1) }),
      l: () => this.change({ loop: !now.loop }),
      n: () => this.note(),
      s: () => this.save(),
      f: () => this.full(),
      "+": () => this.zoom(1.25, middle),
      "-": () => this.zoom(0.8, middle),
      "0": () => this.zoom(1 / this.zoomed.scale, middle),
      "?": () => (this.help.hidden = !this.help.hidden),
      Escape: () => (this.help.hidden = this.drawer.hidden = true),
    };
    if (key in steps) this.go(this.frame + steps[key]);
    else if (key in actions) actions[key]();
    else if (/^[1-9]$/.test(key) && this.views[Number(key) - 1]) {
      const view = this.views[Number(key) - 1];
      if (view.disabled) this.tell(`${meta.views[Number(key) - 1]} ${view.title}`);
      else view.click();
    } else return false;
    return true;
  }
}
