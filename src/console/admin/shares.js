/** What each instance has above the mean of its region, where that is more than the tolerance (a part of the mean). */
export function surplus(instances, tolerance) {
  const regions = Map.groupBy(instances, ({ region }) => region);
  return [...regions].flatMap(([region, own]) => {
    const mean = own.reduce((sum, { connections }) => sum + connections, 0) / own.length;
    return own.map(({ instance, connections }) => {
      const above = connections - Math.ceil(mean);
      return { region, instance, connections, tooMany: above > mean * tolerance ? above : 0 };
    });
  });
}
