let pattern;
try {
  pattern = new RegExp(context);
} catch (error) {
  return String(error.message);
}
return pattern.test(output);
