// The settings of the viewer, and what it knows of its video. The Python side is state.py and parts.py.

export interface Settings {
  frame: number;
  view: string;
  source: string;
  other: string;
  alpha: number;
  floor: number;
  colormap: string;
  normalise: string;
  points: boolean;
  trail: number; // seconds of gaze before this frame
  observer: number; // whose gaze is shown; -1 for all observers
  peak: boolean;
  border: number;
  speed: number;
  loop: boolean;
  strips: string[]; // names of the traces that are drawn, each in a lane of its own
  start: number; // first frame of the range that plays, loops and is exported
  stop: number; // last frame of the range; -1 for the last of the video
  playing: boolean;
  group: string; // viewers of a page with the same name are synchronised
  notes: Note[];
  regions: Region[];
}

export interface Note {
  frame: number;
  text: string;
}

export type Point = [x: number, y: number]; // in fractions of the width and height

// A polygon that stays in place, or moves linearly from one key frame to the next.
export interface Region {
  name: string;
  keys: { frame: number; points: Point[] }[]; // one, or several sorted by frame
}

export interface Meta {
  name: string;
  frames: number;
  duration: number;
  size: [width: number, height: number];
  chunk: number; // frames per part
  views: string[];
  comparing: string[]; // views that need a second map
  sources: string[];
  strips: string[];
  shared: string[]; // strips that are the same for all maps
  settings: string[];
  scales: Record<string, string>;
  colormaps: string[];
  speeds: number[];
  gaze: string[]; // sources that have gaze points
  observers: number[]; // numbers of the observers, if known
}

// The key of a data part: its kind, its source, and its chunk or frame.
export type Key = [kind: string, name: string, index: number];

export interface Trace {
  unit: string;
  values: (number | null)[];
}

// A frame's map: grey levels between its own extremes, row by row.
export interface FrameMap {
  rows: number;
  columns: number;
  levels: Uint8Array;
  low: number;
  high: number;
  base: number; // mean value of the pixels at level 0
  peak: Point;
}
