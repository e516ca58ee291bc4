import { spawn } from 'node:child_process'
import { once } from 'node:events'

import { atMost, atMostFloor } from '../tools/goals.mjs'
import { isAlive } from '../tools/proc.mjs'
import { median } from '../tools/stats.mjs'

const sizes = (tools) => tools.pick([1, 50], [1, 50, 200])

const GOALS = {
  start200: atMostFloor(1),
  restart50: atMost(150, 'ms'),
  stop50: atMost(100, 'ms'),
}

export default {
  name: 'lifecycle',
  rows(tools) {
    const rows = {}
    for (const size of sizes(tools)) {
      for (const verb of ['start', 'restart', 'stop', 'delete']) {
        const what = `${verb} ${size} native process${size === 1 ? '' : 'es'} in one call`
        rows[`${verb}${size}`] = { what, unit: 'ms', better: 'lower', goal: GOALS[`${verb}${size}`] }
      }
    }
    return rows
  },

  async measure(peer, tools) {
    const home = tools.home()
    const driver = await tools.driver(peer, home)
    await driver.call('connect')
    const pids = async () => {
      const list = await driver.run(async ({ call }) =>
        (await call('list')).map(({ pid, pm2_env }) => [pid, pm2_env.status]),
      )
      return list.filter(([, status]) => status === 'online').map(([pid]) => pid)
    }
    const expect = async (verb, count) => {
      const online = await pids()
      if (online.length !== count || !online.every(isAlive))
        throw new Error(`after ${verb}: ${online.length} of ${count} run`)
      return online
    }
    const result = {}
    for (const size of sizes(tools)) {
      const start = [await driver.timed('start', home.idle(size))]
      const first = await expect('start', size)
      result[`restart${size}`] = await driver.timed('restart', 'all')
      const second = await expect('restart', size)
      if (first.some(isAlive)) throw new Error('after restart: processes of before still run')
      result[`stop${size}`] = await driver.timed('stop', 'all')
      if (second.some(isAlive)) throw new Error('after stop: processes still run')
      await driver.call('delete', 'all')
      start.push(await driver.timed('start', home.idle(size)))
      const third = await expect('start', size)
      result[`delete${size}`] = await driver.timed('delete', 'all')
      if (third.some(isAlive)) throw new Error('after delete: processes still run')
      result[`start${size}`] = median(start)
    }
    return result
  },

  /** The same without a process manager: a loop of spawns in Node, with the pipes an app has; signals, and their exits. */
  async floor(tools) {
    const result = {}
    for (const size of sizes(tools)) {
      const start = async () => {
        const children = Array.from({ length: size }, () => spawn('/bin/sleep', ['1000000'], { stdio: 'pipe' }))
        await Promise.all(children.map((child) => once(child, 'spawn')))
        return children
      }
      const stop = async (children) => {
        const exits = children.map((child) => once(child, 'exit'))
        for (const child of children) child.kill('SIGINT')
        await Promise.all(exits)
      }
      const timed = async (work) => {
        const begin = performance.now()
        const value = await work()
        return [performance.now() - begin, value]
      }
      const [started, children] = await timed(start)
      const [restarted, again] = await timed(async () => {
        await stop(children)
        return start()
      })
      const [stopped] = await timed(() => stop(again))
      Object.assign(result, {
        [`start${size}`]: started,
        [`restart${size}`]: restarted,
        [`stop${size}`]: stopped,
        [`delete${size}`]: stopped,
      })
    }
    return result
  },
}
