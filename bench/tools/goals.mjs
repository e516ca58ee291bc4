// Goals: the words of the budget (design.md section 8), and whether they are met. A goal that cannot be judged from this
// run (its floor or its peer was not measured) answers undefined.

/** At most (or at least) this many of the row's unit, whatever the machine. */
export const atMost = (limit, unit) => ({ text: `<= ${limit} ${unit}`.trim(), met: ({ ours }) => ours <= limit })
export const atLeast = (limit, unit) => ({ text: `>= ${limit} ${unit}`.trim(), met: ({ ours }) => ours >= limit })

/** At least this many times what was measured in turns with it; to the hundredth, which is what the table shows and pairs can tell. */
export const atLeastInPairs = (factor) => ({
  text: `>= ${factor} x`,
  met: ({ ours }) => Math.round(ours * 100) >= factor * 100,
})

/** At most (or at least) `factor` times what was measured without any process manager. */
export const atMostFloor = (factor) => ({
  text: factor === 1 ? '<= the floor' : `<= ${factor} x the floor`,
  met: ({ ours, floor }) => (floor === undefined ? undefined : ours <= factor * floor),
})
export const atLeastFloor = (factor) => ({
  text: `>= ${factor} x the floor`,
  met: ({ ours, floor }) => (floor === undefined ? undefined : ours >= factor * floor),
})

/** At most (or at least) `factor` times pm2's figure of the same run. */
export const atMostPeer = (factor) => ({
  text: factor === 1 ? "<= pm2's" : `<= ${factor} x pm2's`,
  met: ({ ours, pm2 }) => (pm2 === undefined ? undefined : ours <= factor * pm2),
})
export const atLeastPeer = (factor) => ({
  text: `>= ${factor} x pm2's`,
  met: ({ ours, pm2 }) => (pm2 === undefined ? undefined : ours >= factor * pm2),
})
