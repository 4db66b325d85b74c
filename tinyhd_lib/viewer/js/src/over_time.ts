// The plots over time: traces of the video, of maps and of scores, and the attention of regions; and thumbnails of the
// frames with the highest and lowest values.

import type { Attention } from "./attention";
import { isOfMaps, mapTraces } from "./map_traces";
import type { Scene } from "./scene";
import type { Status } from "./status";
import { Thumbs } from "./thumbs";
import { type Lane, Timeline } from "./timeline";
import type { Settings, Trace } from "./types";

const LONG = 8; // chunks: reading more of them reports its progress, and pauses while the viewer is in use
const PAUSE = 300; // milliseconds between two checks whether the viewer is still in use

export class OverTime {
  readonly timeline: Timeline;
  readonly thumbs: Thumbs;
  private now: Settings | null = null;
  private traces: { strip: string; name: string; trace: Trace }[] = [];
  private regions: Attention[] = [];
  private ofSources = new Map<string, Promise<Record<string, Trace> | null>>();
  private gone = false;

  constructor(
    private scene: Scene,
    private isLive: boolean,
    private isBusy: () => boolean,
    private status: Status,
    asked: { go(frame: number): void; choose(start: number, stop: number): void },
  ) {
    this.timeline = new Timeline(scene.meta.frames, asked);
    this.thumbs = new Thumbs(scene.parts, scene.meta, asked.go);
  }

  // Draw the traces that these settings choose, as soon as they are available.
  async show(now: Settings): Promise<void> {
    this.now = now;
    const { meta, parts } = this.scene;
    const several = now.view === "side-by-side" ? [now.source, now.other] : this.scene.sources(now);
    const wanted = now.strips.flatMap((strip) => (meta.shared.includes(strip) ? [""] : [...new Set(several)]).map((name) => ({ strip, name })));
    const found = await Promise.allSettled(wanted.map(({ strip, name }) => (isOfMaps(strip) ? this.ofMaps(strip, name) : parts.trace(strip, name))));
    if (this.now !== now) return;
    this.traces = found.flatMap((each, n) => (each.status === "fulfilled" ? [{ ...wanted[n], trace: each.value }] : []));
    const failed = found.find((each): each is PromiseRejectedResult => each.status === "rejected");
    if (failed && this.isLive) this.status.tell((failed.reason as Error).message);
    this.draw();
    const [first] = this.traces;
    this.thumbs.show(first?.strip ?? "", first?.trace);
  }

  showRegions(found: Attention[]): void {
    this.regions = found;
    this.draw();
  }

  dispose(): void {
    this.gone = true;
    this.thumbs.dispose();
  }

  // A trace of a source's maps; all of its traces are computed together, once.
  private async ofMaps(strip: string, source: string): Promise<Trace> {
    const { parts, meta } = this.scene;
    const told = async (done: number, total: number) => {
      if (total > LONG) {
        this.status.progress(`maps of ${source} over time`, done, total);
        // What the reader waits for has priority.
        while (this.isBusy() && !this.gone) await new Promise((go) => setTimeout(go, PAUSE));
      }
      return !this.gone;
    };
    const coming = this.ofSources.get(source) ?? mapTraces(parts, meta, source, told);
    this.ofSources.set(source, coming);
    coming.catch(() => this.ofSources.delete(source));
    const traces = await coming;
    if (!traces) throw new Error("closed");
    return traces[strip];
  }

  private draw(): void {
    const { now, scene } = this;
    if (!now) return;
    const lanes: Lane[] = now.strips.map((strip) => {
      const own = this.traces.filter((each) => each.strip === strip);
      const lines = own.map(({ name, trace }, n) => ({ name, values: trace.values, colour: n, dash: n }));
      return { title: strip, unit: own[0]?.trace.unit ?? "", lines };
    });
    const shown = this.regions.filter(({ source }) => source === "people" || scene.sources(now).includes(source));
    const [regions, sources] = [shown.map(({ region }) => region), shown.map(({ source }) => source)].map((names) => [...new Set(names)]);
    const lines = shown.map(({ region, source, shares }) => ({
      name: sources.length > 1 ? `${region}, ${source}` : region,
      values: shares.map((share) => 100 * share),
      colour: regions.indexOf(region),
      dash: sources.indexOf(source),
    }));
    if (lines.length) lanes.push({ title: "attention in", unit: "%", lines });
    this.timeline.show(lanes);
  }
}
