// One measurement: its tools, its limit, and the end of everything it started.

import { Driver } from './driver.mjs'
import { endAll, Home } from './home.mjs'
import { endLoads } from './load.mjs'
import { native } from './native.mjs'

export class Tools {
  constructor(full) {
    this.full = full
  }

  /** Sizes: small by default, those of the budget with `--full`. */
  pick(quick, full) {
    return this.full ? full : quick
  }

  /** A fresh PM2_HOME; it and what runs in it end with the measurement. */
  home() {
    return new Home()
  }

  driver(peer, home) {
    return Driver.start(peer, home)
  }

  native() {
    return native()
  }
}

/** The rows of a metric: `key -> {what, unit, better, goal}`. */
export const rowsOf = (metric, tools) => (typeof metric.rows === 'function' ? metric.rows(tools) : metric.rows)

/**
 * Runs `work` (a metric's `measure` or `floor`) and gives its numbers by row. Rejects when one of the `required` is missing or
 * one is no number; what was started is ended in each case.
 */
export async function measured(work, rows, { limit, required = [] }) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not finished after ${limit / 1000} s`)), limit)
  })
  try {
    const numbers = await Promise.race([work(), late])
    for (const key of new Set([...required, ...Object.keys(numbers)])) {
      if (typeof numbers[key] !== 'number' || Number.isNaN(numbers[key])) throw new Error(`no figure for "${key}"`)
      if (!(key in rows)) throw new Error(`a figure for "${key}", which is no row`)
    }
    return numbers
  } finally {
    clearTimeout(timer)
    endLoads()
    await endAll()
  }
}
