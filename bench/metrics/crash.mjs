import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

import { atMost } from '../tools/goals.mjs'
import { quantile } from '../tools/stats.mjs'
import { until } from '../tools/until.mjs'

/** The `[nanoseconds, pid]` that each start of `native stamp` left in the file. */
function stamps(file) {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'latin1').split('\n').slice(0, -1)
  return lines.map((line) => line.split(' ').map(Number))
}

/** Kills what wrote the last stamp, `turns` times, and gives the milliseconds until the next stamp. */
async function killAgainAndAgain(file, turns) {
  const times = []
  for (let turn = 0; turn < turns; turn++) {
    const [, pid] = await until('the app to start', () => stamps(file)[turn], { every: 1 })
    await sleep(60)
    const killed = process.hrtime.bigint()
    process.kill(pid, 'SIGKILL')
    const [started] = await until('the app to start again', () => stamps(file)[turn + 1], { every: 1 })
    times.push((started - Number(killed)) / 1e6)
  }
  return { p50: quantile(times, 0.5), p99: quantile(times, 0.99) }
}

export default {
  name: 'crash',
  rows: {
    p50: {
      what: "kill -9 of an app to the next one's first instruction, p50",
      unit: 'ms',
      better: 'lower',
      goal: atMost(3, 'ms'),
    },
    p99: { what: '... p99', unit: 'ms', better: 'lower' },
  },

  async measure(peer, tools) {
    const home = tools.home()
    const driver = await tools.driver(peer, home)
    const file = home.file('stamps')
    await driver.call('start', {
      script: tools.native(),
      args: ['stamp', file],
      interpreter: 'none',
      name: 'stamp',
      max_restarts: 1_000_000,
      env: home.appEnv(),
    })
    await driver.end()
    return killAgainAndAgain(file, tools.pick(15, 40))
  },

  async floor(tools) {
    const home = tools.home()
    const file = home.file('stamps')
    let child
    const start = () => {
      child = spawn(tools.native(), ['stamp', file], { env: home.env(home.appEnv()) })
      child.once('exit', start)
    }
    start()
    const result = await killAgainAndAgain(file, tools.pick(15, 40))
    child.removeListener('exit', start)
    child.kill('SIGKILL')
    return result
  },
}
