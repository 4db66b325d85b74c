// Colours and dash patterns of lines and regions: Okabe and Ito's palette for the colour-blind, and never colour alone.

export const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c564b", "#7f7f7f"];
export const DASHES = [[], [6, 3], [2, 2], [8, 3, 2, 3]];

export function observerColour(observer: number): string {
  return `hsl(${(observer * 137.5) % 360} 85% 65%)`; // steps of the golden angle: successive observers differ in hue
}
