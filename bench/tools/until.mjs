import { setTimeout as sleep } from 'node:timers/promises'

/** Waits until `condition` gives something truthy, and gives that back. */
export async function until(what, condition, { limit = 60_000, every = 5 } = {}) {
  for (const end = performance.now() + limit; performance.now() < end; ) {
    const answer = await condition()
    if (answer) return answer
    await sleep(every)
  }
  throw new Error(`waited ${limit / 1000} s for ${what}`)
}
