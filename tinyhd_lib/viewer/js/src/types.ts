// What the viewer shows, and what it knows of its video. The Python side is state.py and parts.py.

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
  observer: number; // the one whose gaze is shown; -1 for everybody's
  peak: boolean;
  border: number;
  speed: number;
  loop: boolean;
  strips: string[]; // what is drawn over time, each on a lane of its own
  start: number; // first frame of the range that plays, loops and is exported
  stop: number; // its last frame; -1 for the video's
  playing: boolean;
  group: string; // viewers of one page that go through time together have the same
  notes: Note[];
  regions: Region[];
}

export interface Note {
  frame: number;
  text: string;
}

export type Point = [x: number, y: number]; // in parts of the width and height

// A polygon that keeps still, or goes straight from one key frame to the next.
export interface Region {
  name: string;
  keys: { frame: number; points: Point[] }[]; // one, or several in the order of their frames
}

export interface Meta {
  name: string;
  frames: number;
  duration: number;
  size: [width: number, height: number];
  chunk: number; // frames of a part
  views: string[];
  comparing: string[]; // views that need a second map
  sources: string[];
  strips: string[];
  shared: string[]; // strips that are the same for all maps
  settings: string[];
  scales: Record<string, string>;
  colormaps: string[];
  speeds: number[];
  gaze: string[]; // sources that know points
  observers: number[]; // who looked, where that is known
}

// A part of what is shown: its kind, of which source, and which chunk or frame.
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
  base: number; // the mean of what is at level 0
  peak: Point;
}
