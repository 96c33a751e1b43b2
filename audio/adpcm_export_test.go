package audio

// IMASteps are the step sizes of IMA ADPCM, for an encoder.
var IMASteps = imaSteps
