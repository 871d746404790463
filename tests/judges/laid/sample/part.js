export const sentence = "The module has run.";
