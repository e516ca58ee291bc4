// Medians, percentiles and exponents. Pure.

const sorted = (values) => [...values].sort((a, b) => a - b)

/** The `q`-quantile (0 to 1) by the nearest rank; of an even number of values the median is the mean of the middle two. */
export function quantile(values, q) {
  if (values.length === 0) throw new Error('a quantile of nothing')
  const all = sorted(values)
  if (q === 0.5 && all.length % 2 === 0) return (all[all.length / 2 - 1] + all[all.length / 2]) / 2
  return all[Math.min(all.length - 1, Math.max(0, Math.ceil(q * all.length) - 1))]
}

export const median = (values) => quantile(values, 0.5)

/** Median, least, greatest, and the samples themselves. */
export function summary(values) {
  const all = sorted(values)
  return { median: median(all), min: all[0], max: all.at(-1), samples: values }
}

/** The exponent `k` of `y ~ x^k`: the slope of the least-squares line through the logarithms. */
export function exponent(points) {
  const logs = points.map(([x, y]) => [Math.log(x), Math.log(y)])
  const mean = (index) => logs.reduce((sum, point) => sum + point[index], 0) / logs.length
  const [x0, y0] = [mean(0), mean(1)]
  const covariance = logs.reduce((sum, [x, y]) => sum + (x - x0) * (y - y0), 0)
  return covariance / logs.reduce((sum, [x]) => sum + (x - x0) ** 2, 0)
}

/** The slope of the least-squares line through the points. */
export function slope(points) {
  const mean = (index) => points.reduce((sum, point) => sum + point[index], 0) / points.length
  const [x0, y0] = [mean(0), mean(1)]
  const covariance = points.reduce((sum, [x, y]) => sum + (x - x0) * (y - y0), 0)
  return covariance / points.reduce((sum, [x]) => sum + (x - x0) ** 2, 0)
}
