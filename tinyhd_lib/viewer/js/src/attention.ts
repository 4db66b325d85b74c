// The share of attention that regions get over time, from each map and from gaze: computed in the background by chunks.

import type { Parts, Points } from "./parts";
import { area, coverage, isInside, placed, share } from "./regions";
import type { FrameMap, Meta, Region } from "./types";

const PEOPLE = "people";

// The attention that one source gives to one region.
export interface Attention {
  region: string;
  source: string;
  shares: Float32Array; // one per frame, 0 to 1; NaN where it is not known
  area: number; // as a part of the frame, averaged over time
  observers: Map<number, number>; // who looked there, each with the frame of the first look
}

export interface Row {
  region: string;
  source: string;
  area: number;
  mean: number; // share of attention
  lift: number; // mean divided by area: 1 is what chance gives
  peak: number;
  peakFrame: number;
  looked: number; // observers who looked there; NaN for maps, and where observers are not distinguished
  first: number; // median time of their first look, in seconds
}

// The attention of each region and source of a clip. `told` is called with the progress, and false cancels.
export async function attention(
  parts: Parts,
  meta: Meta,
  regions: Region[],
  told: (done: number, total: number) => boolean,
): Promise<Attention[] | null> {
  const chunks = Math.ceil(meta.frames / meta.chunk);
  const sources = [...meta.sources.filter((name) => !meta.gaze.includes(name)), ...(meta.gaze.length ? [PEOPLE] : [])];
  const found = regions.flatMap((region) =>
    sources.map((source) => ({
      region: region.name,
      source,
      shares: new Float32Array(meta.frames).fill(Number.NaN),
      area: 0,
      observers: new Map<number, number>(),
    })),
  );
  for (let chunk = 0; chunk < chunks; chunk++) {
    const frames = Math.min(meta.chunk, meta.frames - chunk * meta.chunk);
    for (const [n, source] of sources.entries()) {
      const maps = source === PEOPLE ? null : await parts.passing(source, chunk);
      const points = source === PEOPLE ? await Promise.all(meta.gaze.map((name) => parts.needPoints(name, chunk))) : [];
      regions.forEach((region, at) => {
        const each = found[at * sources.length + n];
        if (maps) ofMaps(region, maps, chunk * meta.chunk, frames, each);
        else for (const some of points) ofPeople(region, some, each);
      });
      if (!told(chunk * sources.length + n, chunks * sources.length)) return null;
    }
  }
  const size: [number, number] = [90, 160];
  for (const each of found) {
    const region = regions.find(({ name }) => name === each.region) as Region;
    const areas = region.keys.length === 1 ? [0] : Array.from({ length: 16 }, (_, n) => Math.round(((meta.frames - 1) * n) / 15));
    each.area = areas.reduce((sum, frame) => sum + area(coverage(placed(region, frame), ...size)), 0) / areas.length;
  }
  return found;
}

function ofMaps(region: Region, maps: (FrameMap | null)[], first: number, frames: number, found: Attention): void {
  let covered: Float32Array | null = null;
  for (let n = 0; n < frames; n++) {
    const map = maps[n];
    if (!map) continue;
    if (!covered || region.keys.length > 1 || covered.length !== map.levels.length)
      covered = coverage(placed(region, first + n), map.rows, map.columns);
    found.shares[first + n] = share(map, covered);
  }
}

function ofPeople(region: Region, points: Points, found: Attention): void {
  const counts = new Map<number, [inside: number, all: number]>();
  for (let at = 0; at < points.length; at += 4) {
    const [frame, observer, x, y] = points.subarray(at, at + 4);
    const inside = isInside(placed(region, frame), [x, y]);
    const [before, all] = counts.get(frame) ?? [0, 0];
    counts.set(frame, [before + Number(inside), all + 1]);
    if (inside && !((found.observers.get(observer) ?? Number.POSITIVE_INFINITY) <= frame)) found.observers.set(observer, frame);
  }
  for (const [frame, [inside, all]] of counts) found.shares[frame] = inside / all;
}

export function summary(each: Attention, times: ArrayLike<number>): Row {
  let [sum, known, peak, peakFrame] = [0, 0, 0, -1];
  each.shares.forEach((value, frame) => {
    if (Number.isNaN(value)) return;
    sum += value;
    known += 1;
    if (value > peak || peakFrame < 0) [peak, peakFrame] = [value, frame];
  });
  const mean = known ? sum / known : Number.NaN;
  const firsts = [...each.observers].filter(([observer]) => observer >= 0).map(([, frame]) => times[frame]);
  firsts.sort((a, b) => a - b);
  const middle = firsts.length >> 1;
  const median = firsts.length % 2 ? firsts[middle] : (firsts[middle - 1] + firsts[middle]) / 2;
  const isKnown = each.source === PEOPLE && ![...each.observers.keys()].some((observer) => observer < 0);
  return {
    region: each.region,
    source: each.source,
    area: each.area,
    mean,
    lift: each.area > 0 ? mean / each.area : Number.NaN,
    peak: known ? peak : Number.NaN,
    peakFrame,
    looked: isKnown ? firsts.length : Number.NaN,
    first: isKnown && firsts.length ? median : Number.NaN,
  };
}

const COLUMNS = ["region", "source", "area_percent", "share_percent", "times_its_area", "peak_percent", "peak_frame", "observers", "first_look_s"];

// The table as rows for a spreadsheet, with a header; unknown values are left empty.
export function tableCsv(rows: Row[]): string[][] {
  const number = (value: number, digits: number) => (Number.isFinite(value) ? value.toFixed(digits) : "");
  const lines = rows.map((row) => [
    row.region,
    row.source,
    number(100 * row.area, 2),
    number(100 * row.mean, 2),
    number(row.lift, 3),
    number(100 * row.peak, 2),
    row.peakFrame < 0 ? "" : `${row.peakFrame}`,
    number(row.looked, 0),
    number(row.first, 3),
  ]);
  return [COLUMNS, ...lines];
}

// The shares of every frame as rows for a spreadsheet, with a header.
export function sharesCsv(found: Attention[], times: ArrayLike<number>): string[][] {
  const head = ["frame", "seconds", ...found.map(({ region, source }) => `${region}, ${source}`)];
  const cell = (value: number) => (Number.isNaN(value) ? "" : value.toFixed(5));
  return [head, ...Array.from(times, (time, frame) => [`${frame}`, time.toFixed(4), ...found.map(({ shares }) => cell(shares[frame]))])];
}
