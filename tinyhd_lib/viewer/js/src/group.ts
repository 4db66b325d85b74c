// Viewers of one page that go through time together: what one of them is told, the others of its group follow.

export interface Moment {
  time: number; // seconds
  playing: boolean;
  speed: number;
}

export interface Member {
  group(): string;
  follow(moment: Moment): void;
}

// Every viewer has this script to itself, so the page is what they share.
const members = ((globalThis as { tinyhdViewers?: Set<Member> }).tinyhdViewers ??= new Set<Member>());

export function join(member: Member): () => void {
  members.add(member);
  return () => members.delete(member);
}

export function tell(from: Member, moment: Moment): void {
  const group = from.group();
  if (!group) return;
  for (const each of members) if (each !== from && each.group() === group) each.follow(moment);
}
